"""What can be chosen of how a model is learned: data, optimizer, averages, validation, guards, start."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

from annotated_types import Ge, Interval, MinLen

from sdmodel.config.limits import (
    NEUTRAL,
    Amount,
    Aspect,
    Buckets,
    Caption,
    Config,
    Count,
    Mistake,
    Share,
    Weight,
    Word,
    Workers,
)
from sdmodel.config.optimization import LION, NOTHING, LearningRates, Optimization

LONGEST = 12**-0.5
"""Largest relative length of an average: of the plain mean over all the training, gamma = 0."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """How pictures are seen: how often, in which shape, and how they are varied."""

    flip: bool = False
    """Mirror half of the images; not for captions that tell left from right."""
    crop: bool = False
    """Crop at a random place; else at the centre."""
    colour: Share = 0.0
    """How much brightness, contrast and saturation change, [0, 1]; captions naming a colour keep theirs."""
    augment: Share = 0.0
    """Probability of each of the geometric changes of Karras et al. 2022, arXiv:2206.00364, appendix F.2,
    [0, 1]; the denoiser is told which were made, so that samples show none."""
    buckets: Buckets = 1
    """Aspect ratios that pictures are sorted into, each trained in batches of its own; 1 is squares alone."""
    max_aspect: Aspect = 2.0
    """Longest side over shortest of the buckets."""
    copies: Annotated[float, Interval(ge=0, le=10)] = 0.0
    """How often a picture that was found m times is seen in an epoch: m ** copies times."""
    uncaptioned: Annotated[float, Interval(ge=0, le=1000)] = 1.0
    """How often a picture without a caption is seen in an epoch, for each time that it would be seen with
    one: below 1 the captions of a partly captioned set are seen more often."""
    weight: str = ""
    """Column of the index that says, besides, how often a picture is seen in an epoch; empty: once."""
    fetch: bool = field(default=True, metadata=NEUTRAL)
    """Bring a dataset's tars from object storage to this machine first, and check them; false reads each
    picture where it lies, by a range of its tar, whenever it is seen."""
    memory: Amount = field(default=16, metadata=NEUTRAL)
    """GiB of decoded pixels up to which a set is decoded once and kept."""
    workers: Workers = field(default=0, metadata=NEUTRAL)
    """Threads that decode what is not kept; 0 takes one for each core, 16 at most."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Config):
    """How weights are learned. Rates are those at their peak."""

    kind: Literal["auto", "muon", "adamw", "lion", "adamw8bit"] = "auto"
    """muon learns hidden matrices and convolutions by Muon and the rest by AdamW; adamw8bit needs
    bitsandbytes. auto is muon from random weights and from models of ours, adamw from a pipeline in the
    layout of Stable Diffusion, for low-rank changes, and for the gan objective."""
    muon_rate: Annotated[float, Ge(0)] | None = None
    """Learning rate of Muon. null follows what the training starts from: 0.012, or from a pipeline 4e-5."""
    adam_rate: Annotated[float, Ge(0)] | None = None
    """Learning rate of AdamW, or of Lion. null follows what the training starts from: 0.003, from a pipeline
    1e-5, of low-rank changes 1e-4, of the gan objective 2e-4; for Lion a tenth of it."""
    base_batch: Amount = 0
    """Batch at which the rates are meant; at another they are times sqrt(batch / base_batch) (Malladi et al.
    2022, arXiv:2205.10782, square root scaling rule). 0: they are meant at the batch that there is."""
    base_width: Amount = 0
    """Channels at which AdamW's and Lion's rate is meant; that of a matrix which sums over more of them is
    times base_width / channels (muP; Yang et al. 2022, arXiv:2203.03466, table 3). Muon's suits every width.
    0: it is meant at the width that there is."""
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.0
    """Decoupled weight decay, on matrices only: a step takes this share of a weight away, times its rate
    (Loshchilov and Hutter 2017, arXiv:1711.05101, as torch's AdamW and Muon have it)."""
    warmup: Amount = 1000
    """Images over which the learning rate rises."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls afterwards, to 0 at the end but for constant."""
    clip: Weight = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    frozen: tuple[Word, ...] = ()
    """Beginnings of names of parameters that are not learned ("text." freezes the text encoder)."""
    rates: dict[str, Annotated[float, Interval(gt=0, le=1000)]] = field(default_factory=dict[str, float])
    """Factors on the learning rate, by beginnings of names; the longest that fits counts."""

    def starting(self, rates: LearningRates) -> Self:
        """The same with `rates` where this leaves them open."""
        kind = rates.kind if self.kind == "auto" else self.kind
        adam = rates.adam * LION if kind == "lion" else rates.adam
        return replace(
            self,
            kind=kind,
            muon_rate=rates.muon if self.muon_rate is None else self.muon_rate,
            adam_rate=adam if self.adam_rate is None else self.adam_rate,
        )

    def optimization(self, batch: int, rates: LearningRates = NOTHING) -> Optimization:
        """With nothing left open, for batches of so many images; `rates` where this leaves them open."""
        whole = self.starting(rates)
        assert whole.kind != "auto"
        assert whole.muon_rate is not None
        assert whole.adam_rate is not None
        factor = (batch / self.base_batch) ** 0.5 if self.base_batch else 1.0
        return Optimization(
            kind=whole.kind,
            muon_rate=whole.muon_rate * factor,
            adam_rate=whole.adam_rate * factor,
            weight_decay=self.weight_decay,
            base_width=self.base_width,
            frozen=self.frozen,
            rates=self.rates,
        )


@dataclass(frozen=True, kw_only=True)
class EmaConfig(Config):
    """Averages of the weights, in float32: what is sampled from and published."""

    half_life: Count = 15_000
    """Images after which a weight counts half as much in the average."""
    ramp: Annotated[float, Interval(gt=0, le=1)] = 0.05
    """The half-life is at most this share of the images seen: the first weights are soon forgotten."""
    lengths: tuple[Annotated[float, Interval(gt=0, le=LONGEST)], ...] = ()
    """Relative lengths of power-function averages (sigma_rel of Karras et al. 2023, arXiv:2312.02696), two at
    least, from which any other can be reconstructed afterwards; empty: none are kept."""

    def conflicts(self) -> Iterator[Mistake]:
        """Too few lengths to reconstruct others from, or one of them twice."""
        if len(self.lengths) == 1 or len({*self.lengths}) < len(self.lengths):
            yield self.mistake(
                "must be two or more, as [0.05, 0.1], and no two alike, to reconstruct others; [] keeps none",
                "lengths",
            )


@dataclass(frozen=True, kw_only=True)
class ValidationConfig(Config):
    """What is measured of the model while it learns."""

    every: Amount = 0
    """Images between two validations; 0: none."""
    rows: Count = 256
    """Pictures of the validation split, and as many of the train split, always the same."""
    patience: Amount = 0
    """Stop after so many validations without a smaller error of the averaged weights, and publish the weights
    of the best validation; 0: never stop, publish the last."""
    prompts: tuple[Caption, ...] = ()
    """Captions that are drawn at every validation, from the same noise."""

    def conflicts(self) -> Iterator[Mistake]:
        """What needs validations where there are none."""
        for name in ("patience", "prompts"):
            if getattr(self, name) and not self.every:
                yield self.mistake("nothing is validated; set every, or leave this out", name, "every")


@dataclass(frozen=True, kw_only=True)
class GuardConfig(Config):
    """What happens when a batch breaks the training."""

    on_bad: Literal["stop", "skip"] = "stop"
    """A loss or gradient that is not finite, or a spike: stop, or leave the batch out and go on."""
    spike: Weight = 0.0
    """A gradient's norm above this many times its running mean is a spike; 0: none is."""
    skips: Amount = 100
    """Batches that may be left out in all."""

    def conflicts(self) -> Iterator[Mistake]:
        """A spike that is no larger than the mean."""
        if 0 < self.spike <= 1:
            yield self.mistake("must be above 1, times the running mean; 0 looks for none", "spike")


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Config):
    """Low-rank changes to a frozen model (Hu et al. 2021, arXiv:2106.09685), by peft."""

    rank: Annotated[int, Interval(ge=0, le=65536)] = 0
    """Of the changes; 0 trains the weights themselves."""
    alpha: Weight = 0.0
    """The changes are scaled by alpha / rank; 0 is alpha = rank."""
    targets: Annotated[tuple[Word, ...], MinLen(1)] = (
        "to_q", "to_k", "to_v", "to_out.0", "query", "key_value", "words", "places", "out", "widen", "narrow",
        "film",
    )  # fmt: skip
    """Ends of names of the linear layers and convolutions that are changed."""
    merge: bool = True
    """Publish the changed weights; else the changes apart, to be laid over the start."""
