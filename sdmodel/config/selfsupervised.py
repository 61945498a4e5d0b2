"""What can be chosen of image encoders that learn from pictures alone, or from a few labels beside them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from sdmodel.config.limits import Config, Depth, Mistake, Share, Side, Word

READ_BY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "width": ("tower", ("resnet",)),
    "blocks": ("tower", ("resnet",)),
    "vit": ("tower", ("vit",)),
    "embedding": ("method", ("contrastive", "supervised")),
    "temperature": ("method", ("contrastive", "supervised")),
    "least_area": ("method", ("contrastive", "supervised")),
    "colour": ("method", ("contrastive", "supervised")),
    "columns": ("method", ("supervised",)),
    "labelled": ("method", ("supervised",)),
    "masked": ("method", ("masked",)),
}
"""Field -> the choice that decides whether it is read, and for which of its values it is."""


@dataclass(frozen=True, kw_only=True)
class PatchTransformerConfig(Config):
    """The transformer over patches (ViT; Dosovitskiy et al. 2020, arXiv:2010.11929), where tower is vit."""

    width: Annotated[int, Interval(ge=4, le=65_536)] = 128
    """Channels of a patch, a multiple of 4; the features have as many."""
    layers: Depth = 6
    """Blocks."""
    heads: Side = 4
    """Attention heads; must divide width."""
    patch: Side = 4
    """Pixels to a side of a patch; must divide size."""

    def conflicts(self) -> Iterator[Mistake]:
        """A width that heads do not share, or positions do not fill."""
        yield from _widths(self, self.width, self.heads)


@dataclass(frozen=True, kw_only=True)
class MaskedConfig(Config):
    """What the masked method hides, and the light decoder that gives it back (MAE; He et al. 2021,
    arXiv:2111.06377)."""

    share: Annotated[float, Interval(gt=0, lt=1)] = 0.75
    """Of a picture's patches that is hidden, (0, 1)."""
    width: Annotated[int, Interval(ge=4, le=65_536)] = 64
    """Channels of the decoder, a multiple of 4."""
    layers: Depth = 2
    """Blocks of the decoder."""
    heads: Side = 4
    """Attention heads of the decoder; must divide its width."""

    def conflicts(self) -> Iterator[Mistake]:
        """A width that heads do not share, or positions do not fill."""
        yield from _widths(self, self.width, self.heads)


@dataclass(frozen=True, kw_only=True)
class SelfSupervisedConfig(Config):
    """The image encoder of the self-supervised objective, and what it learns by."""

    method: Literal["contrastive", "supervised", "masked", "rotation"] = "contrastive"
    """"contrastive" brings two views of a picture together and those of others apart (SimCLR; Chen et al.
    2020, arXiv:2002.05709), "supervised" those of pictures with the same label, too (Khosla et al. 2020,
    arXiv:2004.11362), "masked" gives hidden patches back (MAE; He et al. 2021, arXiv:2111.06377), "rotation"
    tells how pictures were turned (Gidaris et al. 2018, arXiv:1803.07728)."""
    tower: Literal["resnet", "resnet18", "vit"] = "resnet"
    """"resnet" is a ResNet of bottlenecks, four stages of `width` and `blocks`; "resnet18" the one of that
    name, of 512 features, that sees small pictures at full size; "vit" a transformer over patches, which
    masked takes."""
    width: Annotated[int, Interval(ge=2, le=65_536)] = 16
    """Channels of the resnet's first stage, of four; the last has 32 times as many."""
    blocks: Depth = 1
    """Blocks of each stage of the resnet."""
    vit: PatchTransformerConfig = field(default_factory=PatchTransformerConfig)
    """The transformer over patches."""
    embedding: Side = 64
    """Channels of the space in which pictures are compared, which a projector makes of the features."""
    temperature: Annotated[float, Interval(gt=0, le=100)] = 0.2
    """Divides cosines; smaller looks at the nearest others alone."""
    least_area: Annotated[float, Interval(gt=0, le=1)] = 0.3
    """Smallest part of a picture that a view shows, (0, 1]."""
    colour: Share = 0.4
    """How much brightness, contrast and saturation of a view change, [0, 1]."""
    columns: tuple[Word, ...] = ()
    """Columns of labels of the supervised method, see shard.columns: pictures that are equal in all of them
    belong together; one that lacks any has itself alone."""
    labelled: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of the rows, chosen by their names, whose labels are used, (0, 1]."""
    masked: MaskedConfig = field(default_factory=MaskedConfig)
    """The masked method."""
    noised: Share = 0.0
    """Share of what the encoder sees that is noised, x_t at a time of its own, so that it knows pictures on
    their way from noise, too; it is not told the time."""

    @property
    def compares(self) -> bool:
        """Whether all pictures of a batch are compared with each other."""
        return self.method in ("contrastive", "supervised")

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be multiples of."""
        return self.vit.patch if self.tower == "vit" else 1

    def conflicts(self) -> Iterator[Mistake]:
        """An odd width, what a choice needs and lacks, and what is read by nothing that was chosen."""
        if self.width % 2:
            yield self.mistake(f"must be even: the first layer has half; take {self.width + 1}", "width")
        if self.method == "masked" and self.tower != "vit":
            yield self.mistake("patches are hidden from a transformer; take tower vit", "method", "tower")
        if self.method == "supervised" and not self.columns:
            yield self.mistake(
                "name the columns that hold labels, or take contrastive, which needs none",
                *("method", "columns"),
            )
        defaults = {name: each.default for name, each in type(self).__dataclass_fields__.items()}
        defaults |= {"vit": PatchTransformerConfig(), "masked": MaskedConfig()}
        for name, (choice, values) in READ_BY.items():
            if getattr(self, name) != defaults[name] and getattr(self, choice) not in values:
                yield self.mistake(
                    f"is read where {choice} is {' or '.join(values)}; leave {name} out", name, choice
                )


def _widths(config: Config, width: int, heads: int) -> Iterator[Mistake]:
    if width % heads or width % 4:
        yield config.mistake(
            "width must be a multiple of heads, and of 4: positions are sines and cosines of two axes",
            *("width", "heads"),
        )
