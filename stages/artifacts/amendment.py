"""Amendments: what changed in the files of a finished artifact, written beside its manifest.

A manifest stands for ever; but a picture that must go has to leave the stored files. Then another file takes
the place of the old one, and a create-only numbered record, `amendments/STAGE/FINGERPRINT/00000001.json`,
says so: which path, where its bytes lie now, what they hash to, why. Whoever opens the artifact gets the
files as amended. Fingerprint and digest stay: they name what was asked and what came, then.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from stages.artifacts.files import FileEntry
from stages.artifacts.seal import sealed, unsealed
from stages.store import NumberedLog, Store


@dataclass(frozen=True)
class Replacement:
    """One file that took the place of another."""

    path: str
    """Name of the file in the artifact."""
    key: str
    """Where its bytes lie now."""
    size: int
    sha256: str
    replaces: str
    """The key before."""
    replaces_sha256: str


@dataclass(frozen=True)
class Amendment:
    """One record: its changes were made for one reason."""

    time: str
    reason: str
    takedown: int
    """Number of the take-down that asked for it."""
    changes: tuple[Replacement, ...]

    @classmethod
    def parse(cls, data: bytes, name: str = "an amendment") -> "Amendment":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        raw["changes"] = tuple(Replacement(**change) for change in raw["changes"])
        return cls(**raw)


def _log(store: Store, stage: str, fingerprint: str) -> NumberedLog[Amendment]:
    return NumberedLog(
        store,
        f"amendments/{stage}/{fingerprint}",
        "amendment",
        Amendment.parse,
        "; without it nobody knows which of the artifact's files were purged",
    )


def amendments(store: Store, stage: str, fingerprint: str) -> list[Amendment]:
    """The amendments of an artifact, in the order in which they apply; DamagedError if one cannot be read."""
    return _log(store, stage, fingerprint).records()


def amended_files(files: Mapping[str, FileEntry], amendments: Sequence[Amendment]) -> Mapping[str, FileEntry]:
    """An artifact's files with its amendments applied, in order.

    A change that replaces another file than is there is passed over: it belongs to an artifact that was
    dropped, whose request was made again.
    """
    amended = dict(files)
    for change in (change for amendment in amendments for change in amendment.changes):
        if change.path in amended and amended[change.path].key == change.replaces:
            amended[change.path] = FileEntry(change.key, change.size, change.sha256)
    return amended


def all_amendments(store: Store) -> Mapping[tuple[str, str], list[Amendment]]:
    """(stage, fingerprint) -> its amendments in order; of artifacts without, an empty list."""
    by_artifact: dict[tuple[str, str], list[Amendment]] = defaultdict(list)
    for stage, fingerprint in amended_artifacts(store):
        by_artifact[stage, fingerprint] = amendments(store, stage, fingerprint)
    return by_artifact


def amended_artifacts(store: Store) -> list[tuple[str, str]]:
    """(stage, fingerprint) of every artifact with amendments, sorted."""
    keys = (listed.key.split("/") for listed in store.list("amendments"))
    return sorted({(key[1], key[2]) for key in keys if len(key) == 4})


def amend(
    store: Store, stage: str, fingerprint: str, changes: Sequence[Replacement], reason: str, takedown: int
) -> None:
    """Let an artifact have other files from now on; once, however often it is said.

    Args:
        store: where the artifact is, and the files already are.
        stage: of the artifact.
        fingerprint: of the artifact.
        changes: what replaces what.
        reason: for people.
        takedown: number of the take-down.
    """
    log = _log(store, stage, fingerprint)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    amendment = Amendment(time, reason, takedown, tuple(changes))
    data = sealed(asdict(amendment))
    while True:
        numbers = log.numbers()
        if any(replace(log.record(number), time=time) == amendment for number in numbers):
            return
        if log.append(max(numbers, default=0) + 1, data):
            return
