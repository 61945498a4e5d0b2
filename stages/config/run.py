"""`Run`: everything a person can choose, one frozen dataclass per stage.

The same object is the YAML file, the flow's parameters, the command line's `--set` and the manifest's config.
Fields marked
`neutral` cannot change a result (how many workers, which device) and stay out of fingerprints.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from sdmodel.config.train import TrainConfig
from stages.artifacts.names import check_name
from stages.config.collect import (
    FORM,
    NEUTRAL,
    CollectConfig,
)
from stages.pretrained.own_model import check_starts

WHITE = "#ffffff"


ON_BACKGROUND = ("dedup", "score", "shard", "evaluate")
"""Stages that see pictures on the run's background."""


def own_background(stage: str, colour: object) -> str:
    """What is wrong with a stage's own background in a run."""
    return (
        f"{stage}.background={colour!r}: a run has one background, in its key `background`, so that "
        f"{', '.join(ON_BACKGROUND)} see the same pictures; set that one and leave out {stage}.background"
    )


def _check_colour(key: str, colour: str) -> None:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError(f'{key} must be a colour like "#ffffff" (red, green, blue), not {colour!r}')


@dataclass(frozen=True, kw_only=True)
class DedupConfig:
    """What counts as a copy."""

    __pydantic_config__ = FORM
    max_bits: int = 3
    """Perceptual hashes that differ in at most this many of 64 bits are compared by pixels; 0 to 3."""
    max_difference: float = 0.018
    """Largest difference of the decoded small pixels of a copy, [0, 1]; see stages/dedup for its
    definition. What pictures show on a plain canvas may differ by twice as much, pixel by pixel."""
    background: str = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: int = 2000
    """Rows to a part."""
    workers: int = field(default=0, metadata=NEUTRAL)
    """Worker processes; 0 takes one for each core."""

    def __post_init__(self) -> None:
        """ValueError: the background is no colour."""
        _check_colour("dedup.background", self.background)


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Which CLIP judges images and captions, if any."""

    __pydantic_config__ = FORM
    model: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """open_clip's model name, or "local-dir:FOLDER" of an open_clip folder. Empty: the run has no CLIP."""
    pretrained: str = field(default="", metadata=NEUTRAL)  # likewise
    """open_clip's tag of pretrained weights, or a path; unused with local-dir."""
    background: str = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: int = 2000
    """Rows to a part."""
    batch: int = field(default=128, metadata=NEUTRAL)
    """Images in a batch."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""

    def __post_init__(self) -> None:
        """ValueError: the background is no colour."""
        _check_colour("score.background", self.background)


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Which pictures are trained on. Cheap to change: no picture is read again."""

    __pydantic_config__ = FORM
    captions: Literal["required", "optional"] = "required"
    """"required" drops a picture without a caption that passes the rules; "optional" keeps it without one,
    for an autoencoder, a self-supervised encoder, or a text-to-image model of partly captioned pictures."""
    min_words: int = 1
    """Fewest words of a caption."""
    max_words: int = 256
    """Most words of a caption."""
    min_side: int = 0
    """Shortest side in pixels."""
    max_aspect: float = 4.0
    """Longer side over shorter side."""
    min_similarity: float | None = None
    """Least image-text similarity; needs scores. None: not asked."""
    top_fraction: float | None = None
    """Keep this share of the rows, best similarity first, (0, 1]; needs scores. None: not asked."""
    drop_duplicates: bool = True
    """Keep one picture of each cluster of copies."""


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """How the dataset is cut and packed."""

    __pydantic_config__ = FORM
    validation: float = 0.02
    """Share of pictures for choosing, by hash of the cluster of copies; none where that is less than one
    cluster."""
    test: float = 0.02
    """Share of pictures for reporting, likewise."""
    shard_rows: int = 1000
    """Images in a tar."""
    max_side: int | None = None
    """Larger images are scaled down to this longer side. None keeps their size."""
    background: str = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    columns: tuple[str, ...] = ()
    """Columns of the sources that go with each picture into the dataset's index, as labels do; sources must
    pass them on, see their `columns`."""
    workers: int = field(default=0, metadata=NEUTRAL)
    """Worker processes; 0 takes one for each core."""

    def __post_init__(self) -> None:
        """ValueError: the background is no colour."""
        _check_colour("shard.background", self.background)


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """Which frozen encoders read pictures and captions once, before training; with none the step is left
    out."""

    __pydantic_config__ = FORM
    autoencoder: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Folder of a diffusers AutoencoderKL, or of a pipeline with a `vae` folder; or one of our models,
    "models/NAME@latest". Then training sees latents. Empty: it sees pixels."""
    text: str = field(default="", metadata=NEUTRAL)  # likewise
    """Folder of a pipeline with `text_encoder` (a CLIP text model) and `tokenizer` in it. Then training sees
    its states. Empty: it learns a text encoder of its own."""
    size: int = 32
    """Pixels to a side of a square, as in train."""
    buckets: int = 1
    """Aspect ratios that pictures are sorted into, as in train.data."""
    max_aspect: float = 2.0
    """Longest side over shortest of the buckets, as in train.data."""
    length: int = 0
    """Tokens that captions are padded or cut to; 0 is what the text encoder knows places for."""
    precision: Literal["fp32", "fp16"] = "fp32"
    """Of what is kept. fp16 takes half the space; means are off by 2**-11 of their value."""
    batch: int = field(default=16, metadata=NEUTRAL)
    """Pictures in a batch."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """How captions are put into clusters. Not part of a run: `sdflow cluster` takes it."""

    __pydantic_config__ = FORM
    clusters: int = 12
    """How many."""
    seeds: int = 3
    """Runs from different starts: the best is kept, and how far they agree is said."""
    column: str = ""
    """Column of the dataset's index with a class of each picture, to which the clusters are compared; empty:
    none."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""

    def __post_init__(self) -> None:
        """ValueError: a number is out of range."""
        for name in ("clusters", "seeds"):
            if (value := getattr(self, name)) < 2:
                raise ValueError(f"cluster: {name}={value} must be at least 2")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured of a model."""

    __pydantic_config__ = FORM
    samples: int = 64
    """Images sampled with captions of the test split."""
    captions: tuple[str, ...] = ()
    """New captions to sample as well."""
    oracle: str = ""
    """"demo" samples unseen captions of the demo world and has its oracle read them, "two" those of the world
    of two groups; empty: no oracle."""
    oracle_samples: int = 512
    """Images for the oracle."""
    guidance: float = 2.5
    """Classifier-free guidance; 1 is none."""
    steps: int = 14
    """Sampling steps."""
    seed: int = 0
    """Of the samples' noise."""
    validation_rows: int = 512
    """Rows of the validation split for the validation loss."""
    clip: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """open_clip's model name, or "local-dir:FOLDER", that measures the samples' similarity; empty: none is
    measured."""
    clip_pretrained: str = field(default="", metadata=NEUTRAL)  # likewise
    """open_clip's tag of pretrained weights, or a path; unused with local-dir."""
    background: str = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: int = 64
    """Samples to a part."""
    batch: int = field(default=64, metadata=NEUTRAL)
    """Images in a batch."""
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""

    def __post_init__(self) -> None:
        """ValueError: the background is no colour."""
        _check_colour("evaluate.background", self.background)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole run: from the sources to the report."""

    __pydantic_config__ = FORM
    name: str
    """Names the references: images/NAME, datasets/NAME, models/NAME, evaluations/NAME. Of lower-case words,
    digits, "-", "_" and "."."""
    store: str = "store"
    """Where artifacts live: a folder, s3://bucket/prefix, gs:// or az://."""
    background: str = WHITE
    """Colour behind transparent pixels, as #rrggbb, for CLIP as for the dataset. A picture that is blank on
    it is left out of the dataset."""
    collect: CollectConfig = field(default_factory=CollectConfig)
    """From sources to images."""
    dedup: DedupConfig = field(default_factory=DedupConfig)
    """From images to clusters of copies."""
    score: ScoreConfig = field(default_factory=ScoreConfig)
    """From images to similarities."""
    filter: FilterConfig = field(default_factory=FilterConfig)
    """From images, clusters and similarities to a selection."""
    shard: ShardConfig = field(default_factory=ShardConfig)
    """From the selection to a dataset."""
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """From the dataset to latents and text states, if any."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """From the dataset to a model."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """From the model to a report."""

    def __post_init__(self) -> None:
        """Hand the background to the stages that see pictures on it.

        ValueError: the name is none; the background is no colour, or a stage has one of its own; pictures
        would be encoded that the training then refuses; the run would start from its own newest model.
        """
        try:
            check_name(self.name)
        except ValueError as error:
            raise ValueError(f"name {error}") from None
        check_starts(self.name, self.train, self.encode)
        _check_colour("background", self.background)
        for name in ON_BACKGROUND:
            config = getattr(self, name)
            if config.background not in (WHITE, self.background):
                raise ValueError(own_background(name, config.background))
            object.__setattr__(self, name, replace(config, background=self.background))
        encode, data = self.encode, self.train.data
        if not encode.autoencoder:
            return
        for name, encoded, key, trained in (
            ("size", encode.size, "size", self.train.size),
            ("buckets", encode.buckets, "data.buckets", data.buckets),
            ("max_aspect", encode.max_aspect, "data.max_aspect", data.max_aspect),
        ):
            if encoded != trained:
                raise ValueError(
                    f"encode.{name}={encoded} and train.{key}={trained}: set both to the same, for what is "
                    "encoded is what is trained on"
                )
        if data.crop or data.colour or data.augment:
            raise ValueError(
                f"train.data.crop={data.crop}, colour={data.colour}, augment={data.augment}: latents are of "
                "the picture's centre, plain and mirrored; leave these off, or encode.autoencoder empty"
            )
