"""What can be chosen of the models: denoisers, and those of the other objectives."""

from dataclasses import dataclass
from typing import Any, Literal

FORM: Any = {"use_attribute_docstrings": True, "extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """The small convolutional UNet, shaped for speed on a CPU."""

    __pydantic_config__ = FORM
    channels: tuple[int, ...] = (32, 64, 128)
    """Channels of each level, finest first; each level halves the sides."""
    blocks: int = 1
    """Residual blocks a level."""
    patch: int = 2
    """Pixels to a side of the patches that the finest level sees; must divide size."""
    heads: int = 4
    """Attention heads at the coarsest level; must divide its channels."""
    condition: int = 128
    """Width of what every block is told of time and caption."""
    fine: int = 8
    """Features of each pixel that the head at full resolution gets from the finest level."""


@dataclass(frozen=True, kw_only=True)
class UNet2DConfig:
    """diffusers' UNet2DConditionModel, the denoiser of Stable Diffusion 1 and 2."""

    __pydantic_config__ = FORM
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels of each level, finest first; each level but the last halves the sides."""
    blocks: int = 2
    """Residual blocks a level."""
    attention: tuple[bool, ...] = (True, True, True, False)
    """Whether a level asks the caption; one for each level."""
    head_width: int = 40
    """Channels of an attention head; must divide the channels of the levels with attention."""
    groups: int = 32
    """Groups of its normalisation; must divide the channels of every level."""


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """A diffusion transformer (Peebles and Xie 2022, arXiv:2212.09748) that attends to the caption."""

    __pydantic_config__ = FORM
    width: int = 768
    """Channels of a token; 768 is B, 1152 is XL."""
    layers: int = 12
    """Transformer blocks; 12 is B, 28 is XL."""
    heads: int = 12
    """Attention heads; must divide width; 12 is B, 16 is XL."""
    patch: int = 2
    """Pixels, or places of a latent, to a side of a token."""
    mlp: float = 4.0
    """Width of a block's perceptron, as a factor on width."""


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Training times: logit-normal on (0, 1), t = 0 is noise and t = 1 is data."""

    __pydantic_config__ = FORM
    mean: float = -0.6
    """Mean of the logit; below 0 leans towards noise."""
    deviation: float = 1.6
    """Standard deviation of the logit."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """The CLIP of the contrastive objective: a stock open_clip model. Vocabulary and length are the text
    encoder's."""

    __pydantic_config__ = FORM
    embedding: int = 128
    """Channels of the space that images and captions share."""
    tower: Literal["resnet", "vit"] = "resnet"
    """The image tower: a ResNet of four stages, or a transformer over patches."""
    image_width: int = 16
    """Channels of the ResNet's first stage, the last has 32 times as many; or of the transformer's tokens
    over 8."""
    image_blocks: int = 1
    """Blocks of each stage of the ResNet; a fourth of the transformer's."""
    patch: int = 8
    """Pixels to a side of the transformer's patches; must divide size."""
    text_width: int = 128
    """Channels of a token in the text tower, a transformer."""
    text_layers: int = 2
    """Transformer blocks of the text tower."""
    text_heads: int = 4
    """Attention heads of the text tower; must divide text_width."""
    foils: int = 1
    """Captions with one word replaced that each image must tell from its own; 0 trains on the batch's pairs
    alone."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The variational autoencoder of the autoencoder objective: diffusers' AutoencoderKL."""

    __pydantic_config__ = FORM
    channels: tuple[int, ...] = (32, 64, 64)
    """Channels of each level, finest first; each level but the last halves the sides."""
    blocks: int = 1
    """Residual blocks a level."""
    latent: int = 4
    """Channels of a latent."""
    groups: int = 8
    """Groups of its normalisation; must divide the channels of every level."""
    kl: float = 1e-6
    """Weight of the Kullback-Leibler divergence from a standard normal, summed over a latent's values."""


@dataclass(frozen=True, kw_only=True)
class SelfSupervisedConfig:
    """The image encoder of the self-supervised objective: a ResNet that tells pictures apart, whatever was
    cropped, mirrored or recoloured (Chen et al. 2020, arXiv:2002.05709)."""

    __pydantic_config__ = FORM
    width: int = 16
    """Channels of the first stage, of four; the last has 32 times as many."""
    blocks: int = 1
    """Blocks of each stage."""
    embedding: int = 64
    """Channels of the space in which pictures are compared."""
    temperature: float = 0.2
    """Divides cosines; smaller looks at the nearest others alone."""
    least_area: float = 0.3
    """Smallest part of a picture that a view shows, (0, 1]."""
    colour: float = 0.4
    """How much brightness, contrast and saturation of a view change, [0, 1]."""


Network = Literal["unet", "unet2d", "dit"]
"""Denoisers by name."""
