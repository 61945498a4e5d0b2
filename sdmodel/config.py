"""Everything that can be chosen about a model and its training. Imports no torch, so that a deploy machine
can read it."""

from dataclasses import dataclass, field
from typing import Any, Literal

FORM: Any = {"use_attribute_docstrings": True, "extra": "forbid"}
NEUTRAL = {"neutral": True}


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text transformer, trained jointly with what it conditions."""

    __pydantic_config__ = FORM
    width: int = 64
    """Channels of a token."""
    layers: int = 1
    """Transformer blocks."""
    heads: int = 4
    """Attention heads; must divide width."""
    queries: int = 8
    """Learned queries that pool the tokens."""
    length: int = 32
    """Tokens read of a caption; longer captions are cut."""
    vocabulary: int = 4096
    """Most entries of the tokenizer, which is learned from the training captions."""


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The convolutional UNet."""

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
    image_width: int = 16
    """Channels of the image tower's first stage, a ResNet of four stages; the last has 32 times as many."""
    image_blocks: int = 1
    """Blocks of each stage of the image tower."""
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
class OptimizerConfig:
    """Muon on matrices and convolutions, AdamW on the rest."""

    __pydantic_config__ = FORM
    muon_rate: float = 1.2e-2
    """Learning rate of Muon."""
    adam_rate: float = 3e-3
    """Learning rate of AdamW."""
    weight_decay: float = 0.0
    """Decoupled weight decay, on matrices only."""
    warmup: int = 1000
    """Images over which the learning rate rises."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    ema: float = 0.997
    """Decay of the weights' moving average for each batch."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training: an objective, a model and its data order."""

    __pydantic_config__ = FORM
    objective: Literal["diffusion", "contrastive"] = "diffusion"
    """"diffusion" trains a text-to-image model, "contrastive" a CLIP that open_clip can load."""
    images: int = 150_000
    """Images to see in all: the unit of training time."""
    batch: int = 64
    """Images in a batch, over all processes."""
    size: int = 32
    """Pixels to a side: images are scaled to cover and cropped at the centre."""
    seed: int = 0
    """Of initial weights, data order, noise, times and caption dropout."""
    caption_dropout: float = 0.1
    """Share of captions replaced by the empty caption, for classifier-free guidance."""
    flip: bool = False
    """Mirror half of the images."""
    snapshot_every: int = 16_000
    """Images between snapshots: what a crash can lose."""
    text: TextConfig = field(default_factory=TextConfig)
    """The text encoder."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    """The denoiser; unused by the contrastive objective."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Training times; unused by the contrastive objective."""
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    """The CLIP; unused by the diffusion objective."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are learned."""
    processes: int = field(default=0, metadata=NEUTRAL)
    """Processes that share each batch; 0 takes one a GPU, or on a CPU one a core up to 2."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""
    precision: Literal["auto", "fp32", "bf16"] = field(default="auto", metadata=NEUTRAL)
    """auto is bf16 autocast on GPUs and fp32 on CPUs; weights, averages and losses are fp32 always."""
