"""References: names that people use, with a numbered history: `datasets/demo@3`, `datasets/demo@latest`.

A version that does not meet its run's expectations is *on hold*: it has its number, by which it can be named,
and `@latest` passes over it until somebody approves it (`stages.artifacts.approval`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from stages.artifacts.approval import Approval, add_approval, approval_key, approval_of
from stages.artifacts.artifact import Artifact, absence, artifacts
from stages.artifacts.dropping import check_stands
from stages.artifacts.names import check_name, is_name
from stages.artifacts.seal import sealed, unsealed
from stages.artifacts.tombstone import tombstones
from stages.errors import RetryableError
from stages.fingerprint import JSON, short_hash
from stages.foreign_text import escape
from stages.store import NumberedLog, Store

ANNOUNCED = "announced/"
"""References below this are the flows' memory of what they announced, not names for people."""
ON_HOLD = "on_hold"
"""Key of an entry's note: why its version is on hold, a sentence for each expectation that it does not
meet."""


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

    @property
    def on_hold(self) -> tuple[str, ...]:
        """Why its version was put on hold, a sentence for each expectation that it does not meet; empty where
        it was not. It stands after an approval, too: see `is_released`."""
        return tuple(self.note.get(ON_HOLD, ()))

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def refer(store: Store, name: str, artifact: Artifact, note: Mapping[str, JSON] | None = None) -> Reference:
    """Add an artifact to a name's history, unless its latest entry says the same already.

    Args:
        store: where the history is.
        name: "datasets/demo": lower-case words with slashes, digits, "-", "_" and ".".
        artifact: what the name shall mean from now on.
        note: small facts to keep with the entry.

    Raises:
        ValueError: the name is no good for a reference, or retention has dropped the artifact.
        RetryableError: retention is about to drop it.
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
        check_stands(store, artifact)
        if log.append(number, sealed(asdict(entry))):
            try:
                check_stands(store, artifact)  # retention looks for references after it has said what goes
            except (ValueError, RetryableError):
                store.delete([log.key(number)])
                raise
            return entry


def references(store: Store, name: str) -> list[Reference]:
    """The history of a name, oldest first; empty if there is none. DamagedError names a damaged entry."""
    return _log(store, name).records()


def delete_entries(store: Store, entries: Sequence[Reference]) -> None:
    """Delete entries of histories, and their approvals. The highest number of a name must not be among them,
    or it would be given again."""
    store.delete(_log(store, entry.name).key(entry.number) for entry in entries)
    store.delete(approval_key(store, entry.name, entry.number) for entry in entries if entry.on_hold)


def approval(store: Store, entry: Reference) -> Approval | None:
    """The approval of an entry's version, if there is one."""
    return approval_of(store, entry.name, entry.number, entry.fingerprint)


def is_released(store: Store, entry: Reference) -> bool:
    """Whether a version may be used by whoever asks for the newest: it was never on hold, or is approved."""
    return not entry.on_hold or approval(store, entry) is not None


def released(store: Store, name: str) -> Iterator[Reference]:
    """The history of a name, newest first, without versions on hold."""
    log = _log(store, name)
    for number in reversed(log.numbers()):
        entry = log.record(number)
        if is_released(store, entry):
            yield entry


def approve(store: Store, text: str, *, why: str, by: str) -> tuple[Reference, Approval]:
    """Let a version on hold through: `@latest` means it from now on, where it is the newest.

    Args:
        store: where it is; writable.
        text: "datasets/birds@7".
        why: in words.
        by: who approves.

    Returns:
        The version, and its approval; the earlier one where it is approved already.

    Raises:
        ValueError: it is no version of a name, it is not on hold, or a text is empty or too long.
    """
    name, _, number = text.partition("@")
    numbers = _log(store, name).numbers() if is_name(name) else []
    if number not in map(str, numbers):
        if number and (artifact := _dropped(store, text)):
            raise ValueError(f"{artifact.dropped}; there is nothing to approve")
        waiting = [f"{name}@{n}" for n in numbers if not is_released(store, _log(store, name).record(n))]
        there = f"on hold are {', '.join(waiting[-12:])}" if waiting else "nothing of that name is on hold"
        raise ValueError(f"{text!r} names no version with its number, as datasets/birds@7; {there}")
    entry = _log(store, name).record(int(number))
    if not entry.on_hold:
        raise ValueError(f"{entry} is not on hold; there is nothing to approve")
    return entry, add_approval(store, name, entry.number, entry.fingerprint, why=why, by=by)


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


def resolve(store: Store, text: str, *, dropped: bool = False) -> Artifact:
    """What a person means by a name or a fingerprint.

    Args:
        store: where to look.
        text: "datasets/demo" or "datasets/demo@latest" (the newest that is not on hold), "datasets/demo@3",
            or the first six or more hex digits of a fingerprint or digest, optionally after "STAGE/".
        dropped: give also what is known of an artifact that retention dropped, for those who read no files.

    Raises:
        ValueError: nothing, or more than one thing, is meant; says what there is. Or every version is on
            hold; says why, and how to approve the newest. Or it was dropped; says when, and by which rule.
    """
    try:
        entry = _entry(store, text)
    except ValueError:
        if dropped and (artifact := _dropped(store, text)):
            return artifact
        raise
    if entry is not None:
        return entry.open(store)
    stage, start = _hash_of(text)
    if start:
        matches = _by_hash(store, stage, start)
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ValueError(f"{text!r} means {len(matches)} artifacts; give more digits")
        if artifact := _dropped(store, text):
            if dropped:
                return artifact
            raise ValueError(absence(store, artifact.stage, artifact.fingerprint))
    known = ", ".join(names(store)[:12]) or "none yet"
    raise ValueError(f"{text!r} is no reference and no fingerprint in {store.url}; references: {known}")


def number_of(store: Store, text: str) -> str:
    """A name with the number of the version that it means now, "datasets/demo@3" for "datasets/demo@latest";
    a fingerprint, or a name with its number, as it stands.

    ValueError: nothing of the kind is there."""
    entry = _entry(store, text)
    numbered = text if entry is None else str(entry)
    resolve(store, numbered)
    return numbered


def _entry(store: Store, text: str) -> Reference | None:
    """The entry that a text means, if it is a name with a history; ValueError as `resolve`."""
    name, _, number = text.partition("@")
    log = _log(store, name)
    history = log.numbers() if is_name(name) else []
    if not history:
        return None
    if number in ("", "latest"):
        entry = next(released(store, name), None)
        return entry or _all_on_hold(log.record(history[-1]))
    if number in map(str, history):
        return log.record(int(number))
    if artifact := _dropped(store, text):
        raise ValueError(f"{artifact.dropped}; {name} has {_numbers(history)}, or use @latest")
    raise ValueError(f"{name} has no entry {number!r}; it has {_numbers(history)}, or use @latest")


def _numbers(history: Sequence[int]) -> str:
    whole = len(history) == history[-1]
    return f"1 to {history[-1]}" if whole else f"{', '.join(map(str, history[-12:]))}: others were dropped"


def _dropped(store: Store, text: str) -> Artifact | None:
    """What is kept of an artifact that was dropped, by a name that it had, or the first digits of its
    fingerprint or digest; None where its request has been made again, or nothing is kept."""
    stage, start = _hash_of(text)
    for tombstone in tombstones(store):
        manifest = tombstone.manifest
        hashes = (manifest.fingerprint, manifest.digest)
        if text in tombstone.references or (
            start and stage in ("", manifest.stage) and any(each.startswith(start) for each in hashes)
        ):
            known = Artifact.find_or_tombstone(store, manifest.stage, manifest.fingerprint, manifest.digest)
            return known if known and known.dropped else None
    return None


def _all_on_hold(newest: Reference) -> NoReturn:
    why = "; ".join(escape(reason, 500) for reason in newest.on_hold)
    raise ValueError(
        f"every version of {newest.name} is on hold, the newest because: {why}. Look at it, and let it "
        f'through by `sdflow approve {newest} --why "..."`, or name it by its number'
    )


def _hash_of(text: str) -> tuple[str, str]:
    """The stage ("" where none is named) and the first digits of a hash that a text means; digits "" where it
    means none."""
    stage, _, start = text.rpartition("/")
    is_hash = len(start) >= 6 and set(start) <= set("0123456789abcdef") and (not stage or is_name(stage))
    return (stage, start) if is_hash else ("", "")


def _by_hash(store: Store, stage: str, start: str) -> list[Artifact]:
    return [
        artifact
        for artifact in artifacts(store, stage or None)
        if artifact.fingerprint.startswith(start) or artifact.digest.startswith(start)
    ]
