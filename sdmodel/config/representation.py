"""What can be chosen of a denoiser's hidden features while it learns: what they are aligned with, and which
self-supervised loss they learn from besides. No torch is imported."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from sdmodel.config.limits import Amount, Config, Mistake, Share, Side, Weight

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


@dataclass(frozen=True, kw_only=True)
class JointConfig(Config):
    """A self-supervised loss over the denoiser's trunk, beside the denoising error, for the diffusion
    objective. It costs a second pass through the trunk."""

    kind: Literal["none", "contrastive", "masked"] = "none"
    """"contrastive" knows two noised views of a picture among those of others (Chen et al. 2020,
    arXiv:2002.05709), "masked" tells hidden patches of the clean picture (He et al. 2021,
    arXiv:2111.06377)."""
    layer: Tap | None = None
    """Where features are taken, as in alignment.layer."""
    weights: Literal["fixed", "schedule", "uncertainty", "noise_level"] = "fixed"
    """Of the two losses: "fixed" is alpha and 1 - alpha; "schedule" lets alpha fall to alpha_end,
    self-supervision first, denoising later; "uncertainty" learns the logarithm of each loss's variance
    (Kendall et al. 2017, arXiv:1705.07115), "noise_level" learns it as a function of the noise level (Karras
    et al. 2023, arXiv:2312.02696, equation 15)."""
    alpha: Share = 0.01
    """Weight of the self-supervised loss, at first where it is scheduled; the denoising error's is 1 minus
    it."""
    alpha_end: Share = 0.0
    """Weight of the self-supervised loss at the end of its schedule."""
    over: Annotated[float, Interval(gt=0, le=1)] = 0.5
    """Share of the training's images over which alpha falls; afterwards it is alpha_end."""
    decay: Literal["linear", "cosine"] = "linear"
    """How alpha falls."""
    embedding: Side = 64
    """For contrastive: channels of the space in which views are compared."""
    temperature: Annotated[float, Interval(gt=0, le=100)] = 0.2
    """For contrastive: divides cosines; smaller looks at the nearest others alone."""
    hidden: Annotated[float, Interval(gt=0, lt=1)] = 0.5
    """For masked: share of the patches that are hidden; a patch is what one place of the features stands
    for."""

    def conflicts(self) -> Iterator[Mistake]:
        """Options of what is not chosen."""
        if self.kind == "none":
            yield from unread(self, {field.name for field in fields(self)} - {"kind"}, "kind")
            return
        others = {"contrastive": {"hidden"}, "masked": {"embedding", "temperature"}}
        yield from unread(self, others[self.kind], "kind")
        scheduled = {"alpha_end", "over", "decay"}
        of_others = {"fixed": scheduled, "schedule": set[str]()}.get(self.weights, {"alpha", *scheduled})
        yield from unread(self, of_others, "weights")


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


def stride(config: "TrainConfig", tap: int) -> int:
    """Places of an array to a side of what one place of a tap's features stands for."""
    if config.network == "dit":
        return config.dit.patch
    return config.unet.patch * 2 ** min(tap, len(config.unet.channels) - 1)


def compares_rows(config: "TrainConfig") -> bool:
    """Whether hidden features of a batch's pictures are compared."""
    return config.alignment.kind == "dispersive" or config.joint.kind == "contrastive"


def conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Values of alignment and joint training that cannot be with others of a training."""
    for key in ("alignment", "joint"):
        if getattr(config, key).kind != "none":
            yield from _tapped(config, key)
    if compares_rows(config) and config.batch < 2:
        yield config.mistake(
            "pictures of a batch are compared; take a batch of 2 or more",
            *("batch", "alignment.kind", "joint.kind"),
        )
    if config.joint.kind != "none" and config.noise.loss == "learned":
        yield config.mistake(
            "the denoising error would be weighed twice; joint.weights=noise_level learns the same for both "
            "losses, leave noise.loss out",
            *("joint.kind", "noise.loss"),
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
