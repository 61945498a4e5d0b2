"""References: names that people use, with a numbered history: `datasets/demo@3`, `datasets/demo@latest`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.names import check_name, is_name
from stages.artifacts.seal import sealed, unsealed
from stages.fingerprint import JSON, short_hash
from stages.store import NumberedLog, Store

ANNOUNCED = "announced/"
"""References below this are the flows' memory of what they announced, not names for people."""


@dataclass(frozen=True)
class Reference:
    """One entry of a name's history; create-only, so that the history stands."""

    name: str
    number: int
    stage: str
    fingerprint: str
    digest: str
    time: str
    note: Mapping[str, Any]

    @classmethod
    def parse(cls, data: bytes, name: str = "a reference") -> "Reference":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        return cls(**unsealed(data, name))

    def open(self, store: Store) -> Artifact:
        """The artifact that this entry names."""
        return Artifact.open(store, self.stage, self.fingerprint)

    @property
    def short_name(self) -> str:
        """What messages call its artifact."""
        return f"{self.stage}/{short_hash(self.fingerprint)}"

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def refer(store: Store, name: str, artifact: Artifact, note: Mapping[str, JSON] | None = None) -> Reference:
    """Add an artifact to a name's history, unless its latest entry says the same already.

    Args:
        store: where the history is.
        name: "datasets/demo": lower-case words with slashes, digits, "-", "_" and ".".
        artifact: what the name shall mean from now on.
        note: small facts to keep with the entry.
    """
    check_name(name)
    while True:
        log = _log(store, name)
        last = log.last()
        newest = log.record(last) if last else None
        if newest and newest.fingerprint == artifact.fingerprint and dict(newest.note) == dict(note or {}):
            return newest
        number = last + 1
        time = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Reference(
            name, number, artifact.stage, artifact.fingerprint, artifact.digest, time, dict(note or {})
        )
        if log.append(number, sealed(asdict(entry))):
            return entry


def references(store: Store, name: str) -> list[Reference]:
    """The history of a name, oldest first; empty if there is none. DamagedError names a damaged entry."""
    return _log(store, name).records()


def _log(store: Store, name: str) -> NumberedLog[Reference]:
    remedy = ", or delete it: then the name means its other entries"
    return NumberedLog(store, f"refs/{name}", "reference", Reference.parse, remedy)


def names(store: Store) -> list[str]:
    """Every name of the store that has a history, sorted."""
    return sorted({listed.key.removeprefix("refs/").rsplit("/", 1)[0] for listed in store.list("refs")})


def references_by_artifact(store: Store) -> Mapping[str, list[str]]:
    """Fingerprint -> "datasets/demo@3", ...: what people call an artifact. The flows' memory of what they
    announced is left out."""
    by_artifact: dict[str, list[str]] = {}
    for name in names(store):
        if not name.startswith(ANNOUNCED):
            for entry in references(store, name):
                by_artifact.setdefault(entry.fingerprint, []).append(str(entry))
    return by_artifact


def resolve(store: Store, text: str) -> Artifact:
    """What a person means by a name or a fingerprint.

    Args:
        store: where to look.
        text: "datasets/demo" or "datasets/demo@latest" (the newest), "datasets/demo@3", or the first six or
            more hex digits of a fingerprint or digest, optionally after "STAGE/".

    Raises:
        ValueError: nothing, or more than one thing, is meant; says what there is.
    """
    name, _, number = text.partition("@")
    log = _log(store, name)
    history = log.numbers() if is_name(name) else []
    if history:
        if number in ("", "latest"):
            return log.record(history[-1]).open(store)
        if number in map(str, history):
            return log.record(int(number)).open(store)
        raise ValueError(f"{name} has no entry {number!r}; it has 1 to {history[-1]}, or use @latest")
    stage, _, start = text.rpartition("/")
    if len(start) >= 6 and set(start) <= set("0123456789abcdef"):
        matches = _by_hash(store, stage, start)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ValueError(f"{text!r} means {len(matches)} artifacts; give more digits")
    known = ", ".join(names(store)[:12]) or "none yet"
    raise ValueError(f"{text!r} is no reference and no fingerprint in {store.url}; references: {known}")


def number_of(store: Store, text: str) -> str:
    """A name with the number of the version that it means now, "datasets/demo@3" for "datasets/demo@latest";
    a fingerprint, or a name with its number, as it stands.

    ValueError: nothing of the kind is there."""
    artifact = resolve(store, text)
    name, _, number = text.partition("@")
    history = references(store, name) if is_name(name) and number in ("", "latest") else []
    # Another version may be filed at this moment: what was resolved counts.
    same = [entry for entry in history if entry.fingerprint == artifact.fingerprint]
    return str(same[-1]) if same else text


def _by_hash(store: Store, stage: str, start: str) -> list[Artifact]:
    return [
        artifact
        for artifact in artifacts(store, stage or None)
        if artifact.fingerprint.startswith(start) or artifact.digest.startswith(start)
    ]
