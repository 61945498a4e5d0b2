"""What can be chosen of sampling."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Interval

from sdmodel.config.limits import Caption, Config, Mistake, Share

SamplerName = Literal["euler", "heun", "dpm++2m", "ddim", "ddpm"]
"""Samplers by name."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(Config):
    """How pictures are drawn. null is what the model's folder says, and in a training what suits the model:
    flags go before a config, a config before the model."""

    sampler: SamplerName | None = None
    """"dpm++2m" (Lu et al. 2022, arXiv:2211.01095), "euler" and "heun" (Karras et al. 2022,
    arXiv:2206.00364), "ddim" (Song et al. 2020, arXiv:2010.02502, eta 0), which on the straight path is
    Euler's, or "ddpm", which adds noise at each step (ancestral sampling, Ho et al. 2020, arXiv:2006.11239).
    Models with timesteps are sampled by diffusers' schedulers of those names."""
    steps: Annotated[int, Interval(ge=1, le=10_000)] | None = None
    """Sampling steps; each calls the network once, of heun twice but for the last."""
    guidance: Annotated[float, Interval(ge=0, le=100)] | None = None
    """Classifier-free guidance; 1 is none."""
    interval: tuple[Share, Share] | None = None
    """Times between which there is guidance, 0 is noise and 1 the picture (Kynkaanniemi et al. 2024,
    arXiv:2404.07724)."""
    rescale: Share | None = None
    """How far guided estimates are brought back to the deviation of those with the caption alone (Lin et al.
    2023, arXiv:2305.08891, equation 16), [0, 1]."""
    negative: Caption | None = None
    """Caption of what shall not be drawn, in the empty one's place."""
    conditions: dict[str, Annotated[float, Interval(ge=0, le=100)]] | None = None
    """Guidance scales of conditions beside the caption, by their names; 1 is none. Of one that is not named
    it is what train.conditions says."""

    def conflicts(self) -> Iterator[Mistake]:
        """An interval without an inside."""
        if self.interval and self.interval[0] > self.interval[1]:
            yield self.mistake("must be the earlier time, then the later one, as [0, 0.6]", "interval")

    def over(self, defaults: "Sampling") -> "Sampling":
        """These choices, and the defaults where there are none."""
        chosen = {name: value for name, value in vars(self).items() if value is not None}
        return replace(defaults, **chosen)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pictures are drawn, with nothing left open; keys as of `SamplingConfig`."""

    sampler: SamplerName
    steps: int
    guidance: float
    interval: tuple[float, float]
    rescale: float
    negative: str
    conditions: Mapping[str, float] = field(default_factory=dict[str, float])

    def described(self) -> dict[str, Any]:
        """As JSON; scales of conditions only where some are chosen."""
        return {name: value for name, value in vars(self).items() if name != "conditions" or value}


OURS = Sampling(sampler="dpm++2m", steps=7, guidance=2.0, interval=(0.0, 0.8), rescale=0.0, negative="")
"""What suits models on the straight path: 7 steps of docs/training.md's table."""
TIMESTEPS = Sampling(sampler="dpm++2m", steps=25, guidance=7.5, interval=(0.0, 1.0), rescale=0.0, negative="")
"""What suits pipelines in the layout of Stable Diffusion."""
