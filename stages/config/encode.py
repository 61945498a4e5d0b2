"""Which frozen encoders read pictures and captions before training."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Interval

from sdmodel.config.buckets import STEP
from sdmodel.config.limits import NEUTRAL, Aspect, Buckets, Config, Count, Device, Mistake, Side

if TYPE_CHECKING:
    from stages.config.run import Run


@dataclass(frozen=True, kw_only=True)
class EncodeConfig(Config):
    """Which frozen encoders read pictures and captions once, before training; with none the step is left
    out."""

    autoencoder: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Folder of a diffusers AutoencoderKL, or of a pipeline with a `vae` folder; or one of our models,
    "models/NAME@latest". Then training sees latents. Empty: it sees pixels."""
    text: str = field(default="", metadata=NEUTRAL)  # likewise
    """Folder of a pipeline with `text_encoder` (a CLIP text model) and `tokenizer` in it. Then training sees
    its states. Empty: it learns a text encoder of its own."""
    encoder: str = field(default="", metadata=NEUTRAL)  # likewise
    """Frozen image encoder of ours, "models/NAME@latest" of a training with objective selfsupervised, whose
    feature maps train.alignment learns from. Empty: it asks train.encoder about every batch."""
    size: Side = 32
    """Pixels to a side of a square, as in train."""
    buckets: Buckets = 1
    """Aspect ratios that pictures are sorted into, as in train.data."""
    max_aspect: Aspect = 2.0
    """Longest side over shortest of the buckets, as in train.data."""
    length: Annotated[int, Interval(ge=0, le=65_536)] = 0
    """Tokens that captions are padded or cut to; 0 is what the text encoder knows places for."""
    precision: Literal["fp32", "fp16"] = "fp32"
    """Of what is kept. fp16 takes half the space; means are off by 2**-11 of their value."""
    batch: Count = field(default=16, metadata=NEUTRAL)
    """Pictures in a batch."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""

    def conflicts(self) -> Iterator[Mistake]:
        """Several shapes of a size that has none."""
        if self.buckets > 1 and (self.size % STEP or self.max_aspect == 1):
            yield self.mistake(
                f"several buckets take a size of a multiple of {STEP}, and an aspect above 1",
                *("size", "buckets", "max_aspect"),
            )


def encode_conflicts(run: "Run") -> Iterator[Mistake]:
    """What is encoded and not what is trained on, or not read; or missing."""
    for key in ("encode.autoencoder", "encode.encoder"):
        if attrgetter(key)(run):
            yield from _of_latents(run, key)
    yield from _of_teacher(run)


def _of_teacher(run: "Run") -> Iterator[Mistake]:
    """An alignment without anything to align with, or features that nothing reads."""
    encode, aligned = run.encode, run.train.alignment.kind == "repa"
    if encode.encoder and not aligned:
        yield run.mistake(
            "its features are read by an alignment alone; set that to repa, or leave the encoder out",
            *("encode.encoder", "train.alignment.kind"),
        )
    elif aligned and encode.autoencoder and not encode.encoder:
        yield run.mistake(
            "a training on latents has no pixels that an encoder could look at; name it in "
            "encode.encoder, which caches its features beside the latents",
            *("train.alignment.kind", "encode.encoder", "encode.autoencoder"),
        )
    elif aligned and not (encode.encoder or run.train.encoder):
        yield run.mistake(
            "name an image encoder, a model of objective selfsupervised, or take dispersive",
            *("train.alignment.kind", "train.encoder", "encode.encoder"),
        )


def _of_latents(run: "Run", key: str) -> Iterator[Mistake]:
    """Pictures that are seen in another way than they are encoded; `key` is of the encoder."""
    what = "latents" if key == "encode.autoencoder" else "features"
    for encoded, trained in (
        ("encode.size", "train.size"),
        ("encode.buckets", "train.data.buckets"),
        ("encode.max_aspect", "train.data.max_aspect"),
    ):
        if attrgetter(encoded)(run) != attrgetter(trained)(run):
            yield run.mistake("what is encoded is what is trained on; set both to the same", encoded, trained)
    if run.train.sizes:
        yield run.mistake(
            f"{what} are cached of one size; leave sizes out, or the encoder empty",
            *("train.sizes", key),
        )
    for name in ("crop", "colour", "augment"):
        if getattr(run.train.data, name):
            yield run.mistake(
                f"{what} are of the picture's centre, plain and mirrored; leave this off, or the encoder "
                "empty",
                *(f"train.data.{name}", key),
            )
