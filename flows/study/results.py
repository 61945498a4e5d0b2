"""Results of a study as JSON: each case with its artifacts and figures. The page is made of nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from flows.study.config import StudyConfig
from sdmodel.config.adapter import adapter_of


@dataclass(frozen=True)
class CaseResult:
    """A finished case."""

    variant: str
    arm: str
    seed: int
    share: float
    """Of its budget, (0, 1]: below 1 in the rungs of halving."""
    images: int
    """Seen."""
    model: str
    """Fingerprint."""
    digest: str
    """Of the model."""
    evaluation: str
    """Fingerprint; empty where no measure needs one."""
    figures: Mapping[str, float]
    """Path -> value."""

    @property
    def cell(self) -> tuple[str, str]:
        """Variant and arm."""
        return self.variant, self.arm


@dataclass(frozen=True)
class StudyResults:
    """A study and the results of all its cases."""

    study: StudyConfig
    machine: str
    """Where speeds were measured, in words."""
    references: Mapping[str, Mapping[str, float]]
    """Known values: name of the reference -> last word of a figure's path -> value."""
    cases: Sequence[CaseResult]

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StudyResults":
        """The results that a file holds. ValueError: it holds none."""
        try:
            return adapter_of(cls).validate_json(path.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{path} holds no results of a study: {error.errors()[0]['msg']}") from None
