"""Manifest: what an artifact is and where it came from, written create-only once its files are there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from stages.artifacts.files import FileEntry
from stages.artifacts.seal import sealed, unsealed
from stages.errors import DamagedError
from stages.fingerprint import JSON
from stages.store import Store

MAIN_REASONS = 6
"""Reasons of a funnel that are put into words one by one."""


@dataclass(frozen=True)
class Funnel:
    """What became of the rows that came in. It closes: rows in = rows out + rows per reason."""

    rows_in: int
    rows_out: int
    reasons: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        left = sum(self.reasons.values())
        assert self.rows_in == self.rows_out + left, (
            f"{self.rows_in} rows in, {self.rows_out} out, {dict(self.reasons)}"
        )

    def __add__(self, other: "Funnel") -> "Funnel":
        reasons = dict(self.reasons)
        for reason, rows in other.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + rows
        return Funnel(
            self.rows_in + other.rows_in, self.rows_out + other.rows_out, dict(sorted(reasons.items()))
        )

    def ranked_reasons(self) -> list[tuple[str, int]]:
        """Each reason and its rows, most rows first."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))

    def reasons_in_words(self) -> str:
        """The reasons with most rows, in words: "12 too_small, 3 not_an_image, 2 others"; "" without any."""
        ranked = self.ranked_reasons()
        words = [f"{rows:,} {reason}" for reason, rows in ranked[:MAIN_REASONS]]
        others = sum(rows for _, rows in ranked[MAIN_REASONS:])
        return ", ".join([*words, *([f"{others:,} others"] if others else [])])


@dataclass(frozen=True)
class Manifest:
    """What an artifact is. Written once, create-only, when everything that it names is in the store."""

    fingerprint: str
    digest: str
    kind: str
    stage: str
    version: int
    config: Mapping[str, JSON]
    inputs: Mapping[str, Mapping[str, str] | None]
    funnel: Funnel
    statistics: Mapping[str, JSON]
    files: Mapping[str, FileEntry]
    code: str
    libraries: Mapping[str, str]
    started: str
    ended: str
    host: str

    def to_json(self) -> bytes:
        return sealed(asdict(self))

    @classmethod
    def read(cls, store: Store, key: str) -> "Manifest":
        """The manifest at a key.

        Raises:
            FileNotFoundError: there is none.
            DamagedError: what lies there is no manifest.
        """
        return cls.parse(store.read(key), f"{key} in {store.url}")

    @classmethod
    def parse(cls, data: bytes, name: str) -> "Manifest":
        """The manifest that was written as `data`. DamagedError: it is none; `name` is what messages call
        it."""
        return cls.from_record(unsealed(data, name), name)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], name: str) -> "Manifest":
        """The manifest of which these are the fields, as JSON has them; `name` and errors as of `parse`."""
        raw = dict(record)
        try:
            raw["funnel"] = Funnel(**raw["funnel"])
            raw["files"] = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
            return cls(**raw)
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            raise DamagedError(
                f"{name} is no manifest that this version reads ({error}); restore it from a "
                "copy, or read it with the version that wrote it"
            ) from error


def manifest_key(stage: str, fingerprint: str) -> str:
    """Where the manifest of a request lies, once it is finished."""
    return f"manifests/{stage}/{fingerprint}.json"
