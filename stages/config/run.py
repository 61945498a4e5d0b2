"""`Run`: everything a person can choose, one frozen dataclass per stage.

The same object is the YAML file, the flow's parameters, the command line's `--set` and the manifest's config.
Fields marked
`neutral` cannot change a result (how many workers, which device) and stay out of fingerprints.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Annotated, Any, Literal

from annotated_types import Interval, MaxLen

from sdmodel.config.limits import (
    NEUTRAL,
    Amount,
    Aspect,
    Config,
    Count,
    Device,
    Mistake,
    Pattern,
    Share,
    Side,
    Word,
    Workers,
)
from sdmodel.config.train import PICTURING, TrainConfig
from stages.artifacts.names import LONGEST, MEANING, PATTERN
from stages.config.collect import CollectConfig
from stages.config.colour import WHITE, Colour
from stages.config.conditions import condition_conflicts
from stages.config.encode import EncodeConfig, encode_conflicts
from stages.config.evaluate import EvaluateConfig
from stages.config.expectations import ExpectConfig
from stages.config.retention import RetainConfig
from stages.config.starts import own_models, starts_of

ON_BACKGROUND = ("dedup", "score", "shard", "evaluate")
"""Stages that see pictures on the run's background."""
OWN_BACKGROUND = (
    f"a run has one, in its key `background`, so that {', '.join(ON_BACKGROUND)} see the same pictures; set "
    "that and leave out a stage's own"
)
"""What is wrong with a stage's own background in a run."""


@dataclass(frozen=True, kw_only=True)
class DedupConfig(Config):
    """What counts as a copy."""

    max_bits: Annotated[int, Interval(ge=0, le=3)] = 3
    """Perceptual hashes that differ in at most this many of 64 bits are compared by pixels; 0 to 3."""
    max_difference: Share = 0.018
    """Largest difference of the decoded small pixels of a copy, [0, 1]; see stages/dedup for its
    definition. What pictures show on a plain canvas may differ by twice as much, pixel by pixel."""
    background: Colour = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: Count = 2000
    """Rows to a part."""
    workers: Workers = field(default=0, metadata=NEUTRAL)
    """Worker processes; 0 takes one for each core."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Config):
    """Which CLIP judges images and captions, if any."""

    model: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """open_clip's model name, or "local-dir:FOLDER" of an open_clip folder. Empty: the run has no CLIP."""
    pretrained: str = field(default="", metadata=NEUTRAL)  # likewise
    """open_clip's tag of pretrained weights, or a path; unused with local-dir."""
    background: Colour = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: Count = 2000
    """Rows to a part."""
    batch: Count = field(default=128, metadata=NEUTRAL)
    """Images in a batch."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""


@dataclass(frozen=True, kw_only=True)
class FilterConfig(Config):
    """Which pictures are trained on. Cheap to change: no picture is read again."""

    captions: Literal["required", "valid", "optional"] = "required"
    """"required" drops a picture without a caption that passes the rules. "valid" drops one that came with
    captions of which none passes, and keeps one that came without any, for a text-to-image model of partly
    captioned pictures. "optional" keeps both without a caption, for models that read none. A picture that is
    kept without a caption is not judged by similarity."""
    min_words: Amount = 1
    """Fewest words of a caption."""
    max_words: Count = 256
    """Most words of a caption."""
    min_side: Amount = 0
    """Shortest side in pixels."""
    max_aspect: Aspect = 4.0
    """Longer side over shorter side."""
    min_similarity: Annotated[float, Interval(ge=-1, le=1)] | None = None
    """Least image-text similarity; needs scores. None: not asked."""
    top_fraction: Annotated[float, Interval(gt=0, le=1)] | None = None
    """Keep this share of the rows, best similarity first, (0, 1]; needs scores. None: not asked."""
    drop_duplicates: bool = True
    """Keep one picture of each cluster of copies."""

    def conflicts(self) -> Iterator[Mistake]:
        """Captions of no possible length."""
        if self.min_words > self.max_words:
            yield self.mistake("no caption has both; raise max_words", "min_words", "max_words")


@dataclass(frozen=True, kw_only=True)
class ShardConfig(Config):
    """How the dataset is cut and packed."""

    validation: Share = 0.02
    """Share of pictures for choosing, by hash of the cluster of copies; none where that is less than one
    cluster."""
    test: Share = 0.02
    """Share of pictures for reporting, likewise."""
    shard_rows: Count = 1000
    """Images in a tar."""
    max_side: Side | None = None
    """Larger images are scaled down to this longer side. None keeps their size."""
    background: Colour = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    columns: tuple[Word, ...] = ()
    """Columns of the sources that go with each picture into the dataset's index, as labels do; sources must
    pass them on, see their `columns`."""
    workers: Workers = field(default=0, metadata=NEUTRAL)
    """Worker processes; 0 takes one for each core."""

    def conflicts(self) -> Iterator[Mistake]:
        """Splits that leave nothing to train on."""
        if self.validation + self.test >= 1:
            yield self.mistake(
                "together they must be below 1, to leave something to train on", "validation", "test"
            )


@dataclass(frozen=True, kw_only=True)
class DatasetRun(Config):
    """A run up to its dataset: what `refresh_dataset` takes."""

    name: Annotated[str, MaxLen(LONGEST), Pattern(PATTERN, MEANING)]
    """Names the references: images/NAME, datasets/NAME, models/NAME, evaluations/NAME. Of lower-case words,
    digits, "-", "_" and ".", with "/" between words."""
    store: Word = "store"
    """Where artifacts live: a folder, s3://bucket/prefix, gs:// or az://."""
    background: Colour = WHITE
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
    expect: ExpectConfig = field(default_factory=ExpectConfig)
    """What a version of the dataset must be before it is announced."""
    retain: RetainConfig = field(default_factory=RetainConfig)
    """Which versions of the dataset stay."""

    def __post_init__(self) -> None:
        """Hand the background to the stages that see pictures on it. ConfigError: see `Config`."""
        super().__post_init__()
        for name in self._on_background():
            object.__setattr__(self, name, replace(getattr(self, name), background=self.background))

    def conflicts(self) -> Iterator[Mistake]:
        """Blocks that cannot make one dataset."""
        for name in self._on_background():
            if getattr(self, name).background not in (WHITE, self.background):
                yield self.mistake(OWN_BACKGROUND, f"{name}.background", "background")
        for key in ("min_similarity", "top_fraction"):
            if getattr(self.filter, key) is not None and not self.score.model:
                yield self.mistake(
                    "similarities are measured by a CLIP; set score.model, or leave this out",
                    *(f"filter.{key}", "score.model"),
                )
        if self.expect.max_drift is not None and not self.score.model:
            yield self.mistake(
                "embeddings are made by a CLIP; set score.model, or leave this out",
                *("expect.max_drift", "score.model"),
            )

    def _on_background(self) -> list[str]:
        return [name for name in ON_BACKGROUND if hasattr(self, name)]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        """Prefect's form, without the keys that a run of this kind does not read."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        unread = [(name, "background") for name in ON_BACKGROUND if name in properties]
        if cls is DatasetRun:  # the flow's own parameter, or when it was expected to start
            unread.append(("collect", "edition"))
        for name, key in unread:
            handler.resolve_ref_schema(properties[name])["properties"].pop(key, None)
        return schema


@dataclass(frozen=True, kw_only=True)
class Run(DatasetRun):
    """A whole run: from the sources to the report."""

    encode: EncodeConfig = field(default_factory=EncodeConfig)
    """From the dataset to latents and text states, if any."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """From the dataset to a model."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """From the model to a report."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        """The same, with inherited words: pydantic reads the docstrings of a class's own fields alone."""
        from sdmodel.config.adapter import adapter_of

        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for key, inherited in adapter_of(DatasetRun).json_schema()["properties"].items():
            properties[key].setdefault("description", inherited["description"])
        return schema

    @property
    def dataset_run(self) -> DatasetRun:
        """The part of it up to the dataset."""
        return DatasetRun(**{key.name: getattr(self, key.name) for key in fields(DatasetRun)})

    def conflicts(self) -> Iterator[Mistake]:
        """Blocks that cannot make one run."""
        yield from super().conflicts()
        encoders = {f"encode.{key}": getattr(self.encode, key) for key in ("autoencoder", "encoder")}
        starts = {**starts_of(self.train), **encoders}
        starts["evaluate.encoder"] = self.evaluate.encoder
        yield from own_models(self.name, starts)
        if self.train.validation.every and not self.shard.validation:
            yield self.mistake(
                "there would be no validation split; set a share for it, as 0.02, or validate nothing",
                *("train.validation.every", "shard.validation"),
            )
        sampled = self.evaluate.samples or self.evaluate.captions or self.evaluate.oracle
        if self.train.objective == "diffusion" and not sampled:
            yield self.mistake("nothing would be sampled; set one", "evaluate.samples", "evaluate.captions")
        if self.evaluate.oracle == "two" and self.train.objective in ("autoencoder", "gan"):
            yield self.mistake(
                'it reads what captions ask for, and this objective reads none; take "demo" on pictures of '
                "one object, or leave it out",
                *("evaluate.oracle", "train.objective"),
            )
        if self.evaluate.prior != "fitted" and self.train.objective != "autoencoder":
            yield self.mistake(
                "an autoencoder's latents are drawn from it, and this objective makes none; leave it out",
                *("evaluate.prior", "train.objective"),
            )
        if self.evaluate.encoder and self.train.objective not in PICTURING:
            yield self.mistake(
                "samples are compared with pictures by it, and this objective draws none; leave it out",
                *("evaluate.encoder", "train.objective"),
            )
        if self.evaluate.columns and self.train.objective != "selfsupervised":
            yield self.mistake(
                "image encoders are measured by labels, which this objective does not make; leave it out",
                *("evaluate.columns", "train.objective"),
            )
        yield from condition_conflicts(self)
        classes = {each.column for each in self.train.conditions.columns}
        if classes - set(self.shard.columns):
            yield self.mistake(
                "labels come into the dataset by shard.columns; name them there, too",
                *("train.conditions.columns", "shard.columns"),
            )
        for key in ("train.selfsupervised.columns", "evaluate.columns"):
            if set(attrgetter(key)(self)) - set(self.shard.columns):
                yield self.mistake(
                    "labels come into the dataset by shard.columns; name them there, too",
                    *(key, "shard.columns"),
                )
        yield from encode_conflicts(self)
        for key in ("encode.autoencoder", "encode.text", "encode.encoder"):
            if attrgetter(key)(self) and self.train.objective != "diffusion":
                yield self.mistake(
                    "this objective learns from pixels and captions; leave encode out", key, "train.objective"
                )
        if self.encode.text and self.train.text.rate != 1:
            yield self.mistake(
                "states that are encoded beforehand learn nothing; leave the rate out",
                *("encode.text", "train.text.rate"),
            )
