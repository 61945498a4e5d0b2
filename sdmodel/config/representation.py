"""What can be chosen of a denoiser's hidden features while it learns: what they are aligned with. No torch is
imported."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from sdmodel.config.limits import Amount, Config, Mistake, Weight

if TYPE_CHECKING:
    from sdmodel.config.train import TrainConfig

Tap = Annotated[int, Interval(ge=0, le=1000)]
"""Number of a tap of a denoiser, see sdmodel/denoise/taps.py."""


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig(Config):
    """A further loss of the diffusion objective that asks something of the denoiser's hidden features."""

    kind: Literal["none", "repa", "dispersive"] = "none"
    """"repa" aligns the features of the noisy picture with those that train.encoder has of the clean one (Yu
    et al. 2024, arXiv:2410.06940), "dispersive" spreads a batch's features, without any teacher (Wang and He
    2025, arXiv:2506.09027)."""
    weight: Weight = 0.5
    """Factor on this loss; the denoising error has 1."""
    layer: Tap | None = None
    """Where features are taken: of a unet after a level's encoder, counted from 0, and in the middle, which
    comes after the last of them; of a dit after a block, counted from 0. null: a unet's middle, or after a
    third of a dit's blocks."""
    until: Amount = 0
    """Images after which it is off; 0: never."""
    spatial: bool = True
    """For repa: of the encoder's features what differs between the places of a picture counts, their mean
    does not (spatial normalisation; Singh et al. 2025, arXiv:2512.10794)."""
    temperature: Annotated[float, Interval(gt=0, le=1000)] = 0.5
    """For dispersive: divides squared distances, which are means over a picture's features."""

    def conflicts(self) -> Iterator[Mistake]:
        """Options of what is not chosen."""
        if self.kind == "none":
            yield from unread(self, {field.name for field in fields(self)} - {"kind"}, "kind")
        yield from unread(
            self, {"repa": {"temperature"}, "dispersive": {"spatial"}}.get(self.kind, ()), "kind"
        )


def unread(config: Config, names: Any, key: str) -> Iterator[Mistake]:
    """Fields of those names that are not at their defaults, although what `key` chooses reads none of
    them."""
    for field in fields(config):  # pyright: ignore[reportArgumentType] - every Config is a dataclass
        if field.name in names and getattr(config, field.name) != field.default:
            yield config.mistake("is read by nothing here; leave it out", field.name, key)


def tap(config: "TrainConfig", layer: int | None) -> int:
    """The number of the tap that a layer of the config means, of a unet or a dit."""
    if layer is not None:
        return layer
    if config.network == "dit":
        return max(0, config.dit.layers // 3 - 1)
    return config.unet.taps - 1


def conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Values of alignment that cannot be with others of a training."""
    if config.alignment.kind == "none":
        return
    yield from _tapped(config, "alignment")
    if config.alignment.kind == "dispersive" and config.batch < 2:
        yield config.mistake(
            "pictures of a batch are compared; take a batch of 2 or more", "batch", "alignment.kind"
        )


def _tapped(config: "TrainConfig", key: str) -> Iterator[Mistake]:
    """Why the block of the config with this key finds no features."""
    kind, layer = f"{key}.kind", getattr(config, key).layer
    if config.objective != "diffusion":
        yield config.mistake("is of the diffusion objective; leave it out", kind, "objective")
    elif config.network == "unet2d":
        yield config.mistake(
            "diffusers' UNet gives no hidden features; take unet or dit, or set it to none", kind, "network"
        )
    elif layer is not None:
        taps = config.dit.layers if config.network == "dit" else config.unet.taps
        if layer >= taps:
            yield config.mistake(
                f"features can be taken at 0 to {taps - 1}; null takes a good one", f"{key}.layer", "network"
            )
    if config.lora.rank:
        yield config.mistake("low-rank changes are all that learns; set it to none", kind, "lora.rank")
