"""The job specification of a training: what its processes read to know what to do. No torch is imported.

It is a file of its own, job.json, and names local files alone, nothing of a store.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sdmodel.config.adapter import adapter_of
from sdmodel.config.train import TrainConfig

JOB = "job.json"
"""Its usual name."""


@dataclass(frozen=True, kw_only=True)
class ContinuedFrom:
    """Where a training goes on that another has begun."""

    checkpoint: Path
    """Folder of a complete checkpoint, see checkpoint.py."""
    images: int
    """Seen when it was taken."""
    same_measure: bool = True
    """Validations measure what they did until then, so that the least error and its weights still count."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A training, or a measurement of one."""

    folder: Path
    """Where results go."""
    index: Path
    """index.parquet of the dataset."""
    tars: Mapping[str, str]
    """Name in the index -> path, or the URL of an object that is read by ranges."""
    config: TrainConfig
    start: Path | None = None
    """Model folder to start from; None: random weights."""
    continued: ContinuedFrom | None = None
    """State to go on with, of the training that wrote `start`; None: begins."""
    latents: Path | None = None
    """Folder of cached latents or text states; None: pixels and captions are learned from."""
    texts: tuple[Path | None, ...] = ()
    """For each text encoder the folder that it starts from, None where it begins with random weights; empty:
    all do."""
    encoder: Path | None = None
    """Folder of the frozen image encoder that pictures are seen by; None: none."""
    labels: Path | None = None
    """Table of uids and labels, for objectives that learn from labels."""
    pseudo: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Tables of pseudo-labels, by the column of conditions that they are of."""
    seconds: float = 0.0
    """To measure; 0 of a training."""

    @classmethod
    def read(cls, path: Path) -> "JobSpec":
        """The specification in a file. ValueError: it holds none."""
        return adapter_of(cls).validate_json(path.read_text())

    def write(self, path: Path) -> Path:
        """Writes it into a file of an existing folder; returns the path."""
        path.write_text(json.dumps(asdict(self), indent=1, default=str))
        return path
