"""Exponential moving averages (EMA) of the weights, in float32: what is sampled from and published."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sdmodel.config.learning import EmaConfig
from sdmodel.train.dtensors import distribute, gather, swap
from sdmodel.train.posthoc import power

HALF_LIFE = "half_life"
"""Name of the average that is published; power-function ones are named by their lengths."""


class WeightAverages:
    """Averages of the parameters of `modules` that are learned; all else is the modules' latest.

    One has a half-life (`config.half_life`). For each of `config.lengths` there is one more whose memory
    grows with the training, as a power of time, from which `posthoc.reconstruct` finds others afterwards.
    """

    def __init__(self, modules: nn.Module, config: EmaConfig, batch: int):
        """What is not to be learned must be frozen already; `batch` images are seen between two updates."""
        self.modules = modules
        self.config = config
        self.batch = batch
        self._learned = {name: p for name, p in modules.named_parameters() if p.requires_grad}
        self._parameters = list(self._learned.values())
        self._powers = {str(length): power(length) for length in config.lengths}
        self._averages = {
            profile: [p.detach().clone() for p in self._parameters] for profile in (HALF_LIFE, *self._powers)
        }

    @torch.no_grad()
    def update(self, images: int) -> None:
        """Takes the weights in after `images` images."""
        for profile, averages in self._averages.items():
            decay = self._decay(profile, images)
            torch._foreach_lerp_(averages, self._parameters, 1 - decay)  # pyright: ignore - untyped

    def _decay(self, profile: str, images: int) -> float:
        """Share of the average that stays.

        The half-life begins small, so that the initial weights are soon forgotten (as in EDM, Karras et al.
        2022, https://github.com/NVlabs/edm, training/training_loop.py). A power function forgets them at once
        (Karras et al. 2023, arXiv:2312.02696, equation 127)."""
        if profile == HALF_LIFE:
            half_life = min(self.config.half_life, self.config.ramp * images)
            return 0.5 ** (self.batch / max(half_life, 1e-8))
        return (1 - self.batch / images) ** (self._powers[profile] + 1)

    def weights(self, length: float | None = None) -> dict[str, Tensor]:
        """Averaged weights by the names of `modules.state_dict()`: contiguous float32 on the CPU, none
        sharing memory.

        length: None is the average with the half-life, else one of `config.lengths`.
        Of modules that are sharded the main process alone gets them, the others none; all must call."""
        averages = self._averages[HALF_LIFE if length is None else str(length)]
        average: dict[Tensor, Tensor] = dict(zip(self._parameters, averages, strict=True))
        state: dict[str, Tensor] = self.modules.state_dict(keep_vars=True)
        latest = gather({name: average.get(value, value).detach() for name, value in state.items()})
        return {name: value.to("cpu", copy=True).contiguous() for name, value in latest.items()}

    @contextmanager
    def swapped(self) -> Generator[None]:
        """Inside, `modules` has the weights averaged with the half-life."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for p, average in zip(self._parameters, self._averages[HALF_LIFE], strict=True):
            swap(p, average)

    def state(self) -> dict[str, Tensor]:
        """The averages themselves, which `update` changes, by "PROFILE:PARAMETER"."""
        return {
            f"{profile}:{name}": average
            for profile, averages in self._averages.items()
            for name, average in zip(self._learned, averages, strict=True)
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state` returned, in full tensors. ValueError: it is of other parameters, shapes or
        lengths."""
        mine = self.state()
        shapes, others = ({name: tuple(value.shape) for name, value in s.items()} for s in (mine, state))
        if shapes != others:
            name = min(name for name in {*shapes, *others} if shapes.get(name) != others.get(name))
            raise ValueError(
                f"these are averages of other weights: {name} has the shape {others.get(name, 'of none')} in "
                f"them, {shapes.get(name, 'of none')} is needed"
            )
        for name, value in mine.items():
            value.copy_(distribute(state[name], value))
