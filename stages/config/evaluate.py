"""What is measured of a model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from sdmodel.config.limits import NEUTRAL, Amount, Caption, Config, Count, Device, Mistake, Seed, Word
from sdmodel.config.sampling import SamplingConfig
from stages.config.colour import WHITE, Colour


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Config):
    """What is measured of a model."""

    samples: Amount = 64
    """Images sampled with captions of the test split."""
    captions: tuple[Caption, ...] = ()
    """New captions to sample as well."""
    oracle: Literal["", "demo", "two"] = ""
    """"demo" samples unseen captions of the demo world and has its oracle read them, "two" those of the world
    of two groups; empty: no oracle."""
    oracle_samples: Amount = 512
    """Images for the oracle."""
    prior: Literal["fitted", "standard"] = "fitted"
    """Of what an autoencoder's latents are drawn for the oracle: a Gaussian that is fitted to those of 512
    training pictures, or the standard normal, which is a variational autoencoder's prior."""
    oracle_prompts: Literal["text", "picture", "both"] = "text"
    """How the oracle's images are asked for: by captions, by pictures of the world that show what the
    captions say, or by both; of a model with train.conditions.picture."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How the samples are drawn, where otherwise than the model's folder says."""
    seed: Seed = 0
    """Of the samples' noise."""
    validation_rows: Annotated[int, Interval(ge=2, le=10**12)] = 512
    """Rows of the validation split for the validation loss."""
    clip: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """open_clip's model name, or "local-dir:FOLDER", that measures the samples' similarity; empty: none is
    measured."""
    clip_pretrained: str = field(default="", metadata=NEUTRAL)  # likewise
    """open_clip's tag of pretrained weights, or a path; unused with local-dir."""
    encoder: str = field(default="", metadata=NEUTRAL)  # likewise
    """Image encoder of ours, "models/NAME@latest", in whose features samples, those for captions of the test
    split where captions are read, are compared with that split's pictures (Frechet distance), or pictures
    that an autoencoder gives back with themselves (perceptual distance). Empty: they are not."""
    columns: tuple[Word, ...] = ()
    """Columns of labels, see shard.columns, by which an image encoder's features are measured: a linear probe
    and nearest neighbours, fit on the train split."""
    background: Colour = WHITE
    """Colour behind transparent pixels, as #rrggbb. In a run it is the run's `background`."""
    part_rows: Count = 64
    """Samples to a part."""
    batch: Count = field(default=64, metadata=NEUTRAL)
    """Images in a batch."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""

    def conflicts(self) -> Iterator[Mistake]:
        """An oracle that is shown nothing, or that there is none of."""
        if self.oracle and not self.oracle_samples:
            yield self.mistake("the oracle would see no picture; ask for some", "oracle", "oracle_samples")
        if self.prior != "fitted" and not self.oracle:
            yield self.mistake(
                "latents are drawn for an oracle, and there is none; set oracle, or leave this out",
                *("prior", "oracle"),
            )
        if self.oracle_prompts != "text" and not self.oracle:
            yield self.mistake(
                "there is no oracle, whose images alone are asked for by pictures; set oracle, or leave this "
                "out",
                *("oracle_prompts", "oracle"),
            )
