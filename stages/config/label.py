"""What can be chosen of label."""

from dataclasses import dataclass, field

from sdmodel.config.limits import NEUTRAL, Config, Device, Word


@dataclass(frozen=True, kw_only=True)
class LabelConfig(Config):
    """How pictures without a label get one. Not part of a run: `sdflow label` takes it."""

    column: Word
    """Column of the dataset's index with a class of some pictures."""
    device: Device = field(default="auto", metadata=NEUTRAL)
    """"cpu", "cuda" or "auto"."""
