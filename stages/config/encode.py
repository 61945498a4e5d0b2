"""Which frozen encoders read pictures and captions before training."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from sdmodel.config.buckets import STEP
from sdmodel.config.limits import NEUTRAL, Aspect, Buckets, Config, Count, Device, Mistake, Side


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
