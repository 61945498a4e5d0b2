"""What is compared: every text encoder, pretrained and frozen, pretrained and learned on, and from nothing.

All get the same denoiser, the same pictures and the same time. A case is a model's config; nothing else
differs.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.text import PretrainConfig, TextConfig, TextKind
from sdmodel.config.train import TrainConfig
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import DedupConfig, EvaluateConfig, FilterConfig, Run, ScoreConfig, ShardConfig

Mode = Literal["frozen", "joint", "random"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""Pretrained and frozen; pretrained and learned on with the denoiser; learned with it from nothing."""
KINDS: tuple[TextKind, ...] = get_args(TextKind)
BATCH = 64
"""Images in a batch."""
SIZE = 32
"""Pixels to a side of what is drawn."""
THREADS = 1
"""Cores of each training. Models this small gain nothing by a second one; two side by side, on one each, get
1.4 times as much done as one alone."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and for how long."""

    store: str = "store"
    """Where artifacts live."""
    pictures: str
    """Folder of the world of two objects, with captions; see stages.demo.pairs."""
    emoji: str = ""
    """Folder of captioned emoji, 64 pixels or more; empty: encoders are not asked for their names."""
    kinds: tuple[TextKind, ...] = KINDS
    """Text encoders."""
    seeds: int = 3
    """Times that all is done, each with other weights and another order."""
    seconds: float = 60.0
    """That each denoiser learns, on a core of the machine where its speed was measured."""
    measuring: float = 8.0
    """Seconds that each speed is measured for."""
    pretrain_images: int = 32_000
    """Seen while an encoder is pretrained on the world of two."""
    emoji_images: int = 32_000
    """Seen while one is pretrained on emoji."""
    machine: str = ""
    """Where speeds are measured, in words; another machine has others, and equal time there is other
    trainings."""
    samples: int = 256
    """Pictures that the oracle reads of each model."""
    at_once: int = 1
    """Trainings side by side. How many images a denoiser sees is settled before by a measurement that has the
    machine for itself, so this changes when the results come, not what they are."""

    def __post_init__(self) -> None:
        """ValueError: there is nothing to compare, or something twice."""
        least = {"seeds": self.seeds, "seconds": self.seconds, "samples": self.samples}
        least |= {"at_once": self.at_once, "kinds": len(self.kinds)}
        if wrong := [f"{name}={value:g}" for name, value in least.items() if value <= 0]:
            raise ValueError(f"{', '.join(wrong)}: take more than 0 of each")
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(
                f"kinds={', '.join(self.kinds)}: name each once; seeds says how often it is done"
            )

    @property
    def cases(self) -> int:
        """Models that are trained in all."""
        return len(self.kinds) * self.seeds * (len(MODES) + (2 if self.emoji else 1))

    def images(self, per_second: float) -> int:
        """Images that a denoiser sees in its time, a whole number of batches."""
        return max(1, round(self.seconds * per_second / BATCH)) * BATCH


@dataclass(frozen=True)
class Case:
    """A model of the comparison, and what was found of it."""

    kind: TextKind
    mode: str
    """How its text encoder began and learned; "pretrained" and "emoji" are encoders alone."""
    seed: int
    images: int
    """Seen."""
    pace: dict[str, Any]
    """What pace.json says; empty for encoders alone."""
    report: dict[str, Any]
    """What report.json of its evaluation says."""


def text_of(kind: TextKind) -> TextConfig:
    """An encoder of the size that all have: 64 channels, two layers where a kind has layers.

    The transformer attends to distances (rotary positions), from which it learns order soonest."""
    return TextConfig(kind=kind, width=64, layers=2, heads=4, positions="rotary", length=32, vocabulary=600)


def world(comparison: Comparison, folder: str, name: str) -> Run:
    """The steps from a folder of pictures to a dataset."""
    return Run(
        name=name,
        store=comparison.store,
        collect=CollectConfig(folders=(FolderSource(name=name, folder=folder, caption_column="text"),)),
        score=ScoreConfig(),
        dedup=DedupConfig(max_difference=0.0),  # pictures of a small world look alike, and are none
        filter=FilterConfig(min_words=1),
        shard=ShardConfig(background="#ffffff", validation=0.02, test=0.08),
        evaluate=EvaluateConfig(
            oracle="two", oracle_samples=comparison.samples, samples=8, validation_rows=64
        ),
    )


def pretraining(comparison: Comparison, kind: TextKind, seed: int, *, emoji: bool = False) -> TrainConfig:
    """An encoder learns captions against pictures, and to fill in hidden words; no label is needed."""
    return TrainConfig(
        objective="text",
        images=comparison.emoji_images if emoji else comparison.pretrain_images,
        size=64 if emoji else SIZE,
        seed=seed,
        text=text_of(kind),
        pretrain=PretrainConfig(contrastive=1.0, masked=1.0),
        device="cpu",
        optimizer=OptimizerConfig(kind="adamw", adam_rate=2e-3),
        processes=1,
        threads=THREADS,
    )


def denoiser(kind: TextKind, mode: Mode, seed: int, images: int, start: str) -> TrainConfig:
    """A model that draws.

    Args:
        kind: of its text encoder.
        mode: how that begins and learns.
        seed: of weights and order.
        images: to see.
        start: reference of the pretrained encoder; not used where it begins with nothing.
    """
    text = replace(
        text_of(kind), rate=0.0 if mode == "frozen" else 1.0, start="" if mode == "random" else start
    )
    unet = UNetConfig(channels=(32, 64, 128))
    return TrainConfig(
        images=images,
        batch=BATCH,
        size=SIZE,
        seed=seed,
        text=text,
        unet=unet,
        device="cpu",
        processes=1,
        threads=THREADS,
    )


def name_of(kind: TextKind, mode: Mode | Literal["pretrained", "emoji"], seed: int) -> str:
    """What a case's model is filed under."""
    return f"text-{kind}-{mode}-{seed}"
