"""Everything that can be chosen about a model and its training. Imports no torch, so that a deploy machine
can read it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from sdmodel.config import sizes as stages
from sdmodel.config.buckets import STEP, bucket_shapes
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
    AutoencoderConfig,
    ContrastiveConfig,
    DiTConfig,
    Network,
    SelfSupervisedConfig,
    UNet2DConfig,
    UNetConfig,
)
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.optimization import LORA, NOTHING, PIPELINE, Optimization
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import FORETELLING, PretrainConfig, TextConfig, columns_of

CAPTIONED = ("contrastive", "text")
"""Objectives that learn from captions: pictures without one teach them nothing."""
WORDLESS = ("autoencoder", "selfsupervised")
"""Objectives that read no caption."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """One training: an objective, a model and its data order."""

    objective: Literal["diffusion", "contrastive", "text", "autoencoder", "selfsupervised"] = "diffusion"
    """"diffusion" trains a text-to-image model, "contrastive" a CLIP that open_clip can load, "text" a text
    encoder to start from, "autoencoder" an AutoencoderKL that diffusers can load, "selfsupervised" an image
    encoder without captions."""
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
    start: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Model to start from: one of ours, "models/NAME@latest", or the folder of a pipeline in the layout of
    Stable Diffusion. Empty: random weights."""
    continue_from: str = field(default="", metadata=NEUTRAL)  # its state's digest is an input of the stage
    """Model of ours to go on with, "models/NAME@3", that was trained with checkpoint_keep_state: with its
    weights, averages, momenta and place in the data order, under another rate, length, batch or dataset.
    Empty: the training begins."""
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
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How pictures are drawn with the model, unless told otherwise; it goes into the model's folder."""
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
        rates = LORA if self.lora.rank else PIPELINE if pipeline else NOTHING
        return replace(self, optimizer=self.optimizer.starting(rates))

    @property
    def learning(self) -> Optimization:
        """How weights are learned, with the text encoders' own rates where they condition a denoiser, and
        what suits random weights where `starting` has not said better."""
        rates = LORA if self.lora.rank else NOTHING
        mine = self.optimizer.optimization(self.batch, rates)
        if self.objective != "diffusion":
            return mine
        factors = {f"text.encoders.{n}.": text.rate for n, text in enumerate((self.text, *self.texts))}
        if self.stock_text:
            factors = {"text.": self.text.rate}
        frozen = tuple(name for name, rate in factors.items() if not rate)
        slow = {name: rate for name, rate in factors.items() if rate not in (0, 1)}
        return replace(mine, frozen=(*mine.frozen, *frozen), rates={**slow, **mine.rates})

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
        """Whether all rows of a batch are compared, which then cannot be taken in parts."""
        if self.objective == "text":
            return self.pretrain.contrastive > 0
        return self.objective in ("contrastive", "selfsupervised")

    def conflicts(self) -> Iterator[Mistake]:
        """Values that cannot train together."""
        if self.accelerate:
            yield self.mistake(
                "must stay empty: a training takes one machine, and `processes` of its GPUs", "accelerate"
            )
        if self.processes and self.batch % self.processes:
            yield self.mistake("processes must divide batch", "processes", "batch")
        elif self.accumulate and self.batch // (self.processes or 1) % self.accumulate:
            yield self.mistake(
                "accumulate must divide each process's rows of a batch; 0 finds the fewest parts that fit",
                *("accumulate", "batch", "processes"),
            )
        if self.accumulate > 1 and self.whole_batch:
            yield self.mistake(
                "all rows of a batch are compared, which cannot be taken in parts; lower batch, or set "
                "accumulate to 1",
                *("accumulate", "objective"),
            )
        if self.fsdp and self.optimizer.kind == "adamw8bit":
            yield self.mistake(
                "this optimizer needs blocks of whole weights, of which processes have parts; take adamw",
                *("fsdp", "optimizer.kind"),
            )
        if self.fsdp and not self.accumulate:
            yield self.mistake(
                "what fits is tried with whole weights; say into how many parts, 1 or more",
                "fsdp",
                "accumulate",
            )
        yield from self._starts()
        if self.lora.rank and not self.lora.merge and self.objective != "diffusion":
            yield self.mistake(
                "folders of this objective hold whole models; set merge to true", "lora.merge", "objective"
            )
        if self.validation.prompts and self.objective != "diffusion":
            yield self.mistake(
                "this objective draws no pictures; leave the prompts empty", "validation.prompts", "objective"
            )
        yield from self._sizes()
        yield from self._buckets()
        match self.objective:
            case "diffusion":
                yield from self._of_diffusion()
            case "contrastive":
                yield from self._of_contrastive()
            case "text":
                yield from self._of_text()
            case "autoencoder":
                yield from self._multiple("autoencoder.channels", self.autoencoder.factor)
                yield from self._sides("autoencoder.channels", self.autoencoder.factor)
            case "selfsupervised":
                if self.batch < 2:
                    yield self.mistake(
                        "pictures are compared with each other; take a batch of 2 or more",
                        "batch",
                        "objective",
                    )

    def _starts(self) -> Iterator[Mistake]:
        if self.continue_from and (self.start or self.lora.rank):
            yield self.mistake(
                "a training goes on with a model's whole state, or begins with its weights alone, which are "
                "what low-rank changes are to; leave one out",
                *("continue_from", "start", "lora.rank"),
            )
        elif self.lora.rank and not self.start:
            yield self.mistake(
                "low-rank changes are to a model that has learned; name one in start, or set lora.rank to 0",
                *("lora.rank", "start"),
            )
        if self.lora.rank and self.noise.loss == "learned":
            yield self.mistake(
                "low-rank changes are all that learns; measure the error elsewhere", "noise.loss", "lora.rank"
            )

    def denoiser_mistakes(self, factor: int = 1) -> Iterator[Mistake]:
        """Why the denoiser cannot work on pictures of this size.

        factor: pixels to a side of one place of what it sees: 1 for pixels, an autoencoder's for latents."""
        if self.network == "unet":
            yield from self._multiple("unet.patch", self.unet.multiple * factor, "unet.channels")
            yield from self._sides("unet.patch", self.unet.multiple * factor)
        elif self.network == "dit":
            yield from self._multiple("dit.patch", self.dit.patch * factor)
            yield from self._sides("dit.patch", self.dit.patch * factor)

    def _of_diffusion(self) -> Iterator[Mistake]:
        yield from self.denoiser_mistakes()
        if self.network == "unet2d" and self.data.augment:
            yield self.mistake(
                "diffusers' UNet cannot be told how pictures were moved; set data.augment to 0, or take unet "
                "or dit",
                *("network", "data.augment"),
            )
        if not self.text.start and self.text.width % self.text.heads:
            yield self.mistake(
                "heads pool the tokens for the denoiser and must divide width", "text.width", "text.heads"
            )

    def _of_contrastive(self) -> Iterator[Mistake]:
        yield from self._tower("objective")
        for key, wrong in {
            "text.kind": self.text.kind not in ("transformer", "clip"),
            "text.start": self.text.start,
            "texts": self.texts,
        }.items():
            if wrong:
                yield self.mistake(
                    "a CLIP is made with a text tower of its own; leave it out, or take objective text with "
                    "pretrain.contrastive, which teaches any encoder by pictures",
                    *("objective", key),
                )

    def _of_text(self) -> Iterator[Mistake]:
        pretrain = self.pretrain
        losses = [f"pretrain.{name}" for name in ("contrastive", "labels", "masked", "next")]
        if not (pretrain.contrastive or pretrain.labels or pretrain.masked or pretrain.next):
            yield self.mistake("nothing would be learned; set one of them above 0", *losses)
        if self.texts:
            yield self.mistake(
                "one encoder is learned at a time: text; leave texts empty", "objective", "texts"
            )
        if pretrain.contrastive:
            yield from self._tower("pretrain.contrastive")
        if pretrain.labels and not columns_of(pretrain):
            yield self.mistake(
                "name the columns that hold labels, or a table of clusters",
                *("pretrain.labels", "pretrain.columns", "pretrain.clusters"),
            )
        if pretrain.next and self.text.kind not in FORETELLING:
            yield self.mistake(
                "this encoder sees whole captions and has nothing to foretell; take "
                f"{', '.join(FORETELLING)}, or set next to 0",
                *("pretrain.next", "text.kind"),
            )
        if pretrain.flips and not self.validation.every:
            yield self.mistake(
                "flips are counted on the validation split; set validation.every",
                *("pretrain.flips", "validation.every"),
            )

    def _tower(self, key: str) -> Iterator[Mistake]:
        """Why the image tower, which `key` asks for, cannot see these pictures."""
        for also, several in {"data.buckets": self.data.buckets > 1, "sizes": self.sizes}.items():
            if several:
                yield self.mistake(
                    "the image tower learns a position for each place of squares of one size, which is what "
                    f"open_clip loads; leave {also} out",
                    *(key, also),
                )
        of = "contrastive.patch" if self.contrastive.tower == "vit" else "contrastive.tower"
        yield from self._multiple(of, self.contrastive.multiple)

    def _multiple(self, key: str, multiple: int, *keys: str) -> Iterator[Mistake]:
        """Squares whose sides are no multiples of what `key` asks for."""
        for size in dict.fromkeys(size for size, _ in self.stages):
            if size % multiple:
                near = max(1, round(size / multiple)) * multiple
                mine = ("sizes", "size") if self.sizes else ("size",)
                yield self.mistake(f"make {size} a multiple of {multiple}, as {near}", *mine, key, *keys)

    def _sides(self, key: str, multiple: int) -> Iterator[Mistake]:
        """Buckets whose sides are no multiples of what `key` asks for."""
        data = self.data
        if data.buckets == 1 or any(self._buckets()):
            return
        shapes = {
            shape for size, _ in self.stages for shape in bucket_shapes(size, data.buckets, data.max_aspect)
        }
        if unfit := sorted({side for shape in shapes for side in shape if side % multiple}):
            yield self.mistake(
                f"sides of buckets must be multiples of {multiple}, and {unfit} are not; take squares alone, "
                "another size, or smaller patches or fewer levels",
                *("size", key, "data.buckets"),
            )

    def _sizes(self) -> Iterator[Mistake]:
        total = sum(images for _, images in self.sizes)
        if self.sizes and total != self.images:
            yield self.mistake(f"sizes add up to {total} images; set images to that", "sizes", "images")
        if self.sizes and self.sizes[-1][0] != self.size:
            yield self.mistake(f"the last size is {self.sizes[-1][0]}; set size to that", "sizes", "size")

    def _buckets(self) -> Iterator[Mistake]:
        data = self.data
        if data.buckets > 1 and (any(size % STEP for size, _ in self.stages) or data.max_aspect == 1):
            yield self.mistake(
                f"several buckets take a size of a multiple of {STEP}, and an aspect above 1",
                *("sizes" if self.sizes else "size", "data.buckets", "data.max_aspect"),
            )
