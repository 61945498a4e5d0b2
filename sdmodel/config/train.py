"""Everything that can be chosen about a model and its training. Imports no torch, so that a deploy machine
can read it."""

from dataclasses import dataclass, field, replace
from typing import Literal

from sdmodel.config.learning import (
    NEUTRAL,
    DataConfig,
    EmaConfig,
    GuardConfig,
    LoraConfig,
    OptimizerConfig,
    ValidationConfig,
)
from sdmodel.config.model import (
    FORM,
    AutoencoderConfig,
    ContrastiveConfig,
    DiTConfig,
    Network,
    NoiseConfig,
    SelfSupervisedConfig,
    UNet2DConfig,
    UNetConfig,
)
from sdmodel.config.text import PretrainConfig, TextConfig

LEAST = {
    **dict.fromkeys(("images", "batch", "size", "snapshot_every"), 1),
    **dict.fromkeys(("seed", "keep_every", "processes", "threads", "accumulate"), 0),
}
"""Smallest values of a training's numbers."""


CAPTIONED = ("contrastive", "text")
"""Objectives that learn from captions: pictures without one teach them nothing."""
WORDLESS = ("autoencoder", "selfsupervised")
"""Objectives that read no caption."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training: an objective, a model and its data order."""

    __pydantic_config__ = FORM
    objective: Literal["diffusion", "contrastive", "text", "autoencoder", "selfsupervised"] = "diffusion"
    """"diffusion" trains a text-to-image model, "contrastive" a CLIP that open_clip can load, "text" a text
    encoder to start from, "autoencoder" an AutoencoderKL that diffusers can load, "selfsupervised" an image
    encoder without captions."""
    images: int = 150_000
    """Images to see in all: the unit of training time."""
    batch: int = 64
    """Images in a batch, over all processes."""
    size: int = 32
    """Pixels to a side of a square; buckets of other shapes have about as many pixels."""
    seed: int = 0
    """Of initial weights, data order, noise, times and caption dropout."""
    caption_dropout: float = 0.1
    """Share of captions replaced by the empty caption, for classifier-free guidance."""
    start: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Model to start from: one of ours, "models/NAME@latest", or the folder of a pipeline in the layout of
    Stable Diffusion. Empty: random weights."""
    snapshot_every: int = 16_000
    """Images between snapshots: what a crash can lose."""
    keep_every: int = 0
    """Every n-th snapshot is kept for good; 0 keeps the newest ones alone."""
    keep_state: bool = False
    """Snapshots that are kept hold all that a training needs to go on, not the averaged weights alone."""
    data: DataConfig = field(default_factory=DataConfig)
    """How pictures are seen."""
    network: Network = "unet"
    """The denoiser: "unet" is ours, "unet2d" diffusers' UNet2DConditionModel, "dit" a transformer."""
    text: TextConfig = field(default_factory=TextConfig)
    """The text encoder."""
    texts: tuple[TextConfig, ...] = ()
    """Further text encoders, whose states are joined to the first one's; for the diffusion objective."""
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    """What the text encoder learns from; for the text objective."""
    unet: UNetConfig = field(default_factory=UNetConfig)
    """The denoiser where network is unet."""
    unet2d: UNet2DConfig = field(default_factory=UNet2DConfig)
    """The denoiser where network is unet2d."""
    dit: DiTConfig = field(default_factory=DiTConfig)
    """The denoiser where network is dit."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Training times; for the diffusion objective."""
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    """The CLIP of the contrastive objective."""
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """The model of the autoencoder objective."""
    selfsupervised: SelfSupervisedConfig = field(default_factory=SelfSupervisedConfig)
    """The model of the self-supervised objective."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank changes to the model that training starts from."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights are learned."""
    ema: EmaConfig = field(default_factory=EmaConfig)
    """How weights are averaged."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """What is measured on the way."""
    guard: GuardConfig = field(default_factory=GuardConfig)
    """What is done about a bad batch."""
    processes: int = field(default=0, metadata=NEUTRAL)
    """Processes that share each batch; 0 takes one a GPU, or on a CPU one a core up to 2."""
    threads: int = field(default=0, metadata=NEUTRAL)
    """CPU threads that each process computes in; 0 shares out the cores. Trainings side by side on a CPU are
    quickest with one core each."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 autocast on GPUs and fp32 on CPUs; weights, averages and losses are fp32 always."""
    accumulate: int = field(default=1, metadata=NEUTRAL)
    """Parts that each process takes its share of a batch in, one after the other, for less memory; 0 finds
    the fewest that fit. The gradient is the whole batch's."""
    shard: bool = field(default=False, metadata=NEUTRAL)
    """Each process holds its share of weights, gradients, momenta and averages alone (FSDP), for models that
    are too large for one; slower than a copy each. Needs optimizer.kind adamw or lion."""
    compile: Literal["auto", "on", "off"] = field(default="auto", metadata=NEUTRAL)
    """torch.compile; auto compiles on GPUs, for trainings of an hour and more."""
    checkpoint: bool = field(default=False, metadata=NEUTRAL)
    """Compute activations twice, for less memory."""
    accelerate: str = field(default="", metadata=NEUTRAL)
    """Stays empty: trainings over several machines are not known yet, one takes one machine and all its
    GPUs."""
    trackers: tuple[str, ...] = field(default=(), metadata=NEUTRAL)
    """Where curves go besides TensorBoard's files: "wandb", "mlflow"; each must be installed."""
    price: float = field(default=0.0, metadata=NEUTRAL)
    """Of an hour of all processes, in whatever currency: progress then tells the cost."""

    @property
    def learning(self) -> OptimizerConfig:
        """How weights are learned, with the text encoders' own rates where they condition a denoiser."""
        if self.objective != "diffusion":
            return self.optimizer
        rates = {f"text.encoders.{n}.": text.rate for n, text in enumerate((self.text, *self.texts))}
        frozen = tuple(name for name, rate in rates.items() if not rate)
        slow = {name: rate for name, rate in rates.items() if rate not in (0, 1)}
        mine = self.optimizer
        return replace(mine, frozen=(*mine.frozen, *frozen), rates={**slow, **mine.rates})

    def __post_init__(self) -> None:
        """ValueError: a number is out of range."""
        for name, least in LEAST.items():
            if (value := getattr(self, name)) < least:
                default = self.__dataclass_fields__[name].default
                raise ValueError(f"{name}={value} must be at least {least}; leave it out for {default}")
        if self.accelerate:
            raise ValueError(
                f"accelerate={self.accelerate!r}: trainings over several machines come later; leave it "
                "empty, and the training takes this machine's GPUs, train.processes of them"
            )
