"""Results of verification: when an artifact's files were hashed again, and what was wrong with them.

A result is a create-only sealed record, `verifications/STAGE/FINGERPRINT/00000001.json`; the newest counts.
It says how the files were then: what becomes of them later only the next verification tells. Retention
deletes the results of what it drops.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from stages.artifacts.artifact import Artifact
from stages.artifacts.seal import sealed, unsealed
from stages.foreign_text import escape
from stages.store import NumberedLog, Store

FOLDER = "verifications"
"""Results lie below it, by stage and fingerprint."""
COMPLAINTS = 100
"""Complaints of an artifact that are recorded one by one."""
LONGEST = 500
"""Characters of a complaint."""


@dataclass(frozen=True, kw_only=True)
class VerificationResult:
    """One record."""

    time: str
    """When it ended: ISO 8601, UTC."""
    files: int
    """Files that were hashed."""
    size: int
    """Bytes of them, together, by the manifest."""
    damaged: int
    """Complaints in all; 0: everything is as it was published."""
    complaints: tuple[str, ...]
    """The first of them, in sentences."""

    @classmethod
    def parse(cls, data: bytes, name: str = "a result of verification") -> "VerificationResult":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        raw["complaints"] = tuple(map(str, raw["complaints"]))
        return cls(**raw)


def verify_and_record(artifact: Artifact) -> VerificationResult:
    """Hash an artifact's files again, and leave the result in its store.

    Raises:
        ValueError: the store was opened for reading.
        RetryableError: the store is out of reach.
    """
    complaints = artifact.verify()
    result = VerificationResult(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        files=len(artifact.files),
        size=sum(entry.size for entry in artifact.files.values()),
        damaged=len(complaints),
        complaints=tuple(escape(words, LONGEST) for words in complaints[:COMPLAINTS]),
    )
    log = _log(artifact.store, artifact.stage, artifact.fingerprint)
    while not log.append(log.last() + 1, sealed(asdict(result))):
        pass  # another result took the number
    return result


def last_verification(store: Store, stage: str, fingerprint: str) -> VerificationResult | None:
    """The newest result of an artifact; None where nobody has verified it. DamagedError: it is unreadable."""
    log = _log(store, stage, fingerprint)
    number = log.last()
    return log.record(number) if number else None


def newest_keys(keys: Iterable[str]) -> Mapping[tuple[str, str], str]:
    """(stage, fingerprint) -> key of the newest result, of the keys that a listing of `FOLDER` has."""
    by_artifact: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        parts = key.split("/")
        if len(parts) == 4:
            by_artifact[parts[1], parts[2]].append(key)
    return {artifact: max(own, key=lambda key: (len(key), key)) for artifact, own in by_artifact.items()}


def _log(store: Store, stage: str, fingerprint: str) -> NumberedLog[VerificationResult]:
    remedy = ", or delete it and verify again"
    folder = f"{FOLDER}/{stage}/{fingerprint}"
    return NumberedLog(store, folder, "result of verification", VerificationResult.parse, remedy)
