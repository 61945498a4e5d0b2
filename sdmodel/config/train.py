"""Everything that can be chosen about a model and its training. Imports no torch, so that a deploy machine
can read it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from sdmodel.config import sizes as stages
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.conflicts import conflicts
from sdmodel.config.gan import GanConfig
from sdmodel.config.learning import (
    DataConfig,
    EmaConfig,
    GuardConfig,
    LoraConfig,
    OptimizerConfig,
    ValidationConfig,
)
from sdmodel.config.limits import (
    NEUTRAL,
    Amount,
    Config,
    Count,
    Device,
    Mistake,
    Seed,
    Share,
    Side,
    Weight,
    Workers,
)
from sdmodel.config.model import (
    ContrastiveConfig,
    DiTConfig,
    Network,
    UNet2DConfig,
    UNetConfig,
)
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.optimization import (
    ADVERSARIES,
    LORA,
    NOTHING,
    PIPELINE,
    LearningRates,
    Optimization,
)
from sdmodel.config.representation import AlignmentConfig, JointConfig, compares_rows
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.text import PretrainConfig, TextConfig

CAPTIONED = ("contrastive", "text")
"""Objectives that learn from captions: pictures without one teach them nothing."""
WORDLESS = ("autoencoder", "gan", "selfsupervised")
"""Objectives that read no caption."""
PICTURING = ("diffusion", "autoencoder", "gan")
"""Objectives whose models give pictures back, and could give back those that they have seen."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """One training: an objective, a model and its data order."""

    objective: Literal["diffusion", "contrastive", "text", "autoencoder", "gan", "selfsupervised"] = (
        "diffusion"
    )
    """"diffusion" trains a text-to-image model, "contrastive" a CLIP that open_clip can load,
    "text" a text encoder to start from, "autoencoder" an AutoencoderKL that diffusers can load, "gan" a
    generator of pictures without captions, "selfsupervised" an image encoder without captions."""
    images: Count = 150_000
    """Images to see in all: the unit of training time."""
    batch: Count = 64
    """Images in a batch, over all processes."""
    size: Side = 32
    """Pixels to a side of a square; buckets of other shapes have about as many pixels."""
    sizes: tuple[tuple[Side, Count], ...] = ()
    """Sizes in stages, each with the images seen at it: [[32, 100000], [64, 30000], [128, 20000]]. They add
    up to images, and the last is size. Times are shifted towards noise by each size, from the first of them
    on. Empty: size all along."""
    seed: Seed = 0
    """Of initial weights, data order, and all that is drawn for a picture: noise, times, dropout."""
    caption_dropout: Share = 0.1
    """Share of captions replaced by the empty caption, for classifier-free guidance."""
    conditions: ConditionsConfig = field(default_factory=ConditionsConfig)
    """Conditions beside the caption, for the diffusion objective: classes, numbers, the picture's size."""
    start: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Model to start from: one of ours, "models/NAME@latest", or the folder of a pipeline in the layout of
    Stable Diffusion. Empty: random weights."""
    continue_from: str = field(default="", metadata=NEUTRAL)  # its state's digest is an input of the stage
    """Model of ours to go on with, "models/NAME@3", that was trained with checkpoint_keep_state: with its
    weights, averages, momenta and place in the data order, under another rate, length, batch or dataset.
    Empty: the training begins."""
    encoder: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Frozen image encoder that the training sees pictures by, "models/NAME@latest" of a training with
    objective selfsupervised. Empty: none."""
    checkpoint_every: Count = 16_000
    """Images between checkpoints: what a crash can lose."""
    checkpoint_keep_every: Amount = 0
    """Every n-th checkpoint is kept for good; 0 keeps the newest ones alone."""
    checkpoint_keep_state: bool = False
    """Checkpoints that are kept hold all that a training needs to go on, not the averaged weights alone, and
    the last one is kept too, for continue_from."""
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
    """Noise schedule, prediction, loss weight and training times; for the diffusion objective."""
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    """What the denoiser's hidden features are aligned with; for the diffusion objective."""
    joint: JointConfig = field(default_factory=JointConfig)
    """Which self-supervised loss the denoiser's trunk learns from besides; for the diffusion objective."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How pictures are drawn with the model, unless told otherwise; it goes into the model's folder."""
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    """The CLIP of the contrastive objective."""
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """The model of the autoencoder objective."""
    gan: GanConfig = field(default_factory=GanConfig)
    """The models of the gan objective."""
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
    processes: Workers = field(default=0, metadata=NEUTRAL)
    """Processes that share each batch; 0 takes one a GPU, or on a CPU one a core up to 2."""
    threads: Workers = field(default=0, metadata=NEUTRAL)
    """CPU threads that each process computes in; 0 shares out the cores. Trainings side by side on a CPU are
    quickest with one core each."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto is bf16 autocast on GPUs and fp32 on CPUs; weights, averages and losses are fp32 always."""
    accumulate: Amount = field(default=1, metadata=NEUTRAL)
    """Parts that each process takes its share of a batch in, one after the other, for less memory; 0 finds
    the fewest that fit. The gradient is the whole batch's."""
    fsdp: bool = field(default=False, metadata=NEUTRAL)
    """Each process holds its share of weights, gradients, momenta and averages alone (FSDP), for models that
    are too large for one; slower than a copy each. Not with optimizer.kind adamw8bit."""
    compile: Literal["auto", "on", "off"] = field(default="auto", metadata=NEUTRAL)
    """torch.compile; auto compiles on GPUs, for trainings of an hour and more."""
    activation_checkpointing: bool = field(default=False, metadata=NEUTRAL)
    """Compute activations twice, for less memory (activation checkpointing)."""
    accelerate: str = field(default="", metadata=NEUTRAL)
    """Stays empty: trainings over several machines are not known yet, one takes one machine and all its
    GPUs."""
    trackers: tuple[Literal["wandb", "mlflow"], ...] = field(default=(), metadata=NEUTRAL)
    """Where curves go besides TensorBoard's files: "wandb", "mlflow"; each must be installed."""
    price: Weight = field(default=0.0, metadata=NEUTRAL)
    """Of an hour of all processes, in whatever currency: progress then tells the cost."""

    def starting(self, *, pipeline: bool) -> Self:
        """With the optimizer and the rates that suit what it starts from, where they are left open.

        pipeline: whether that is one in the layout of Stable Diffusion, which only who sees it can tell."""
        rates = PIPELINE if pipeline and not self.lora.rank else self._rates
        return replace(self, optimizer=self.optimizer.starting(rates))

    @property
    def learning(self) -> Optimization:
        """How weights are learned, with the text encoders' own rates where they condition a denoiser, and
        what suits random weights where `starting` has not said better."""
        mine = self.optimizer.optimization(self.batch, self._rates)
        if self.objective != "diffusion":
            return mine
        factors = {f"text.encoders.{n}.": text.rate for n, text in enumerate((self.text, *self.texts))}
        if self.stock_text:
            factors = {"text.": self.text.rate}
        frozen = tuple(name for name, rate in factors.items() if not rate)
        slow = {name: rate for name, rate in factors.items() if rate not in (0, 1)}
        return replace(mine, frozen=(*mine.frozen, *frozen), rates={**slow, **mine.rates})

    @property
    def _rates(self) -> LearningRates:
        """Of what does not start from a pipeline."""
        return LORA if self.lora.rank else ADVERSARIES if self.objective == "gan" else NOTHING

    @property
    def stock_text(self) -> bool:
        """Whether captions are read as Stable Diffusion reads them, by CLIP alone and with their padding, so
        that a stock pipeline draws with the model."""
        return self.network == "unet2d" and self.text.kind == "clip" and not self.texts

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """(size, images seen at it), one after the other; without `sizes` there is one."""
        return self.sizes or ((self.size, self.images),)

    def size_at(self, images_seen: int) -> int:
        """Pixels to a side of the batch that follows after so many images."""
        return stages.size_at(self.stages, images_seen)

    def of_images(self, images: int) -> "TrainConfig":
        """The same training of so many images, its stages in proportion."""
        sizes = stages.of_images(self.sizes, images, self.batch) if self.sizes else ()
        return replace(self, images=images, sizes=sizes)

    @property
    def shifted_noise(self) -> NoiseConfig:
        """`noise`, where sizes follow each other with times shifted from the first of them on."""
        if not self.sizes or self.noise.shift_tokens:
            return self.noise
        return replace(self.noise, shift_tokens=self.sizes[0][0] ** 2)

    @property
    def whole_batch(self) -> bool:
        """Whether the loss is of all rows of a batch together, which then cannot be taken in parts."""
        if self.objective == "text":
            return self.pretrain.contrastive > 0
        if self.objective == "autoencoder":
            return self.autoencoder.adversary.weight > 0
        if self.objective == "selfsupervised":
            return self.selfsupervised.compares
        return self.objective == "contrastive" or compares_rows(self)

    def conflicts(self) -> Iterator[Mistake]:
        """Values that cannot train together."""
        return conflicts(self)
