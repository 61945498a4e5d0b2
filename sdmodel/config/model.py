"""What can be chosen of the models: denoisers, and those of the other objectives."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval, MinLen

from sdmodel.config.limits import Config, Depth, Dropout, Mistake, Side


@dataclass(frozen=True, kw_only=True)
class UNetConfig(Config):
    """The small convolutional UNet, shaped for speed on a CPU."""

    channels: Annotated[tuple[Side, ...], MinLen(1)] = (32, 64, 128)
    """Channels of each level, finest first; each level halves the sides."""
    blocks: Depth = 1
    """Residual blocks a level."""
    patch: Side = 2
    """Pixels to a side of the patches that the finest level sees; must divide size."""
    heads: Side = 4
    """Attention heads at the coarsest level; must divide its channels."""
    condition: Side = 128
    """Width of what every block is told of time and caption."""
    fine: Side = 8
    """Features of each pixel that the head at full resolution gets from the finest level."""
    dropout: Dropout = 0.0
    """Share of what each block computes that is left out while it learns, drawn by row, [0, 1)."""
    stochastic_depth: Dropout = 0.0
    """Share of the rows for which the last block is left out while it learns; rises linearly from block to
    block, [0, 1) (Huang et al. 2016, arXiv:1603.09382)."""

    @property
    def multiple(self) -> int:
        """What the sides of its arrays are multiples of."""
        return self.patch * 2 ** (len(self.channels) - 1)

    @property
    def taps(self) -> int:
        """Places at which it gives hidden features: each level, and the middle."""
        return len(self.channels) + 1

    def conflicts(self) -> Iterator[Mistake]:
        """Heads that do not share the channels of the coarsest level."""
        if self.channels[-1] % self.heads:
            yield self.mistake(
                f"heads must divide the last of channels, {self.channels[-1]}", "heads", "channels"
            )


@dataclass(frozen=True, kw_only=True)
class UNet2DConfig(Config):
    """diffusers' UNet2DConditionModel, the denoiser of Stable Diffusion 1 and 2."""

    channels: Annotated[tuple[Side, ...], MinLen(1)] = (320, 640, 1280, 1280)
    """Channels of each level, finest first; each level but the last halves the sides."""
    blocks: Depth = 2
    """Residual blocks a level."""
    attention: Annotated[tuple[bool, ...], MinLen(1)] = (True, True, True, False)
    """Whether a level asks the caption; one for each level."""
    head_width: Side = 40
    """Channels of an attention head; must divide the channels of the levels with attention."""
    groups: Side = 32
    """Groups of its normalisation; must divide the channels of every level."""
    dropout: Dropout = 0.0
    """Share of what each residual block computes that is left out while it learns, drawn by row, [0, 1)."""

    def conflicts(self) -> Iterator[Mistake]:
        """Levels, heads and groups that do not fit the channels."""
        if len(self.attention) != len(self.channels):
            yield self.mistake(f"name {len(self.channels)} levels, as channels do", "attention", "channels")
        if unfit := [width for width in self.channels if width % self.groups]:
            yield self.mistake(f"groups must divide {unfit} too", "groups", "channels")
        asking = [width for width, asks in zip(self.channels, self.attention, strict=False) if asks]
        if unfit := sorted({width for width in (*asking, self.channels[-1]) if width % self.head_width}):
            yield self.mistake(
                "head_width must divide the channels of levels with attention and of the last one, which has "
                f"it in the middle, and does not divide {unfit}",
                *("head_width", "attention", "channels"),
            )


@dataclass(frozen=True, kw_only=True)
class DiTConfig(Config):
    """A diffusion transformer (Peebles and Xie 2022, arXiv:2212.09748) that attends to the caption."""

    width: Side = 768
    """Channels of a token; 768 is B, 1152 is XL."""
    layers: Depth = 12
    """Transformer blocks; 12 is B, 28 is XL."""
    heads: Side = 12
    """Attention heads; must divide width; 12 is B, 16 is XL."""
    patch: Side = 2
    """Pixels, or places of a latent, to a side of a token."""
    mlp: Annotated[float, Interval(gt=0, le=100)] = 4.0
    """Width of a block's perceptron, as a factor on width."""
    dropout: Dropout = 0.0
    """Share of what each block computes that is left out while it learns, drawn by row, [0, 1)."""
    stochastic_depth: Dropout = 0.0
    """Share of the rows for which the last block is left out while it learns; rises linearly from block to
    block, [0, 1) (Huang et al. 2016, arXiv:1603.09382)."""

    def conflicts(self) -> Iterator[Mistake]:
        """A width that heads do not share, or that has no room for positions."""
        if self.width % self.heads or self.width % 4:
            yield self.mistake(
                "width must be a multiple of heads and, for its positions, of 4", "width", "heads"
            )


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig(Config):
    """The CLIP of the contrastive objective: a stock open_clip model. Vocabulary and length are the text
    encoder's."""

    embedding: Side = 128
    """Channels of the space that images and captions share."""
    tower: Literal["resnet", "vit"] = "resnet"
    """The image tower: a ResNet of four stages, or a transformer over patches."""
    image_width: Side = 16
    """Channels of the ResNet's first stage, the last has 32 times as many; or of the transformer's tokens
    over 8."""
    image_blocks: Depth = 1
    """Blocks of each stage of the ResNet; a fourth of the transformer's."""
    patch: Side = 8
    """Pixels to a side of the transformer's patches; must divide size."""
    text_width: Side = 128
    """Channels of a token in the text tower, a transformer."""
    text_layers: Depth = 2
    """Transformer blocks of the text tower."""
    text_heads: Side = 4
    """Attention heads of the text tower; must divide text_width."""
    foils: Annotated[int, Interval(ge=0, le=1000)] = 1
    """Captions with one word replaced that each image must tell from its own; 0 trains on the batch's pairs
    alone."""

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be multiples of: patches, or the ResNet's five halvings."""
        return self.patch if self.tower == "vit" else 32

    def conflicts(self) -> Iterator[Mistake]:
        """Heads that do not share the text tower's width."""
        if self.text_width % self.text_heads:
            yield self.mistake("text_heads must divide text_width", "text_heads", "text_width")


Network = Literal["unet", "unet2d", "dit"]
"""Denoisers by name."""
