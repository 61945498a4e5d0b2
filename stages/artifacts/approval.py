"""Approvals: who let a version through that does not meet its run's expectations, and why.

An approval is a create-only sealed record, `approvals/datasets/birds/00000007.json` for datasets/birds@7. It
names the version's fingerprint, so that it counts for no other that may come by the same number.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from stages.artifacts.seal import sealed, unsealed
from stages.store import NumberedLog, Store

FOLDER = "approvals"
"""Approvals lie below it, by the name of the reference."""
LONGEST_REASON = 1000
"""Characters of why a version was approved."""
LONGEST_PERSON = 200
"""Characters of who approved it."""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """That a version on hold may be used."""

    name: str
    """Of the reference, "datasets/birds"."""
    number: int
    fingerprint: str
    """Of the artifact that was approved."""
    why: str
    """In the words of who approved it."""
    by: str
    """Who approved it."""
    time: str
    """When, ISO 8601 in UTC."""

    @classmethod
    def parse(cls, data: bytes, name: str = "an approval") -> "Approval":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        return cls(**unsealed(data, name))

    def __str__(self) -> str:
        return f"approved by {self.by} on {self.time[:19]}: {self.why}"


def approvals(store: Store, name: str) -> Mapping[int, Approval]:
    """The approvals of a name's versions, by number. DamagedError names a damaged one."""
    log = _log(store, name)
    return {number: log.record(number) for number in log.numbers()}


def approval_of(store: Store, name: str, number: int, fingerprint: str) -> Approval | None:
    """The approval of a version.

    Args:
        store: where it is.
        name: of the reference, "datasets/birds".
        number: of the version.
        fingerprint: of its artifact.

    Raises:
        DamagedError: there is a record, and it cannot be read.
    """
    try:
        approval = _log(store, name).record(number)
    except FileNotFoundError:
        return None
    return approval if approval.fingerprint == fingerprint else None


def approval_key(store: Store, name: str, number: int) -> str:
    """Where the approval of a version lies, if it has one."""
    return _log(store, name).key(number)


def add_approval(store: Store, name: str, number: int, fingerprint: str, *, why: str, by: str) -> Approval:
    """Record that a version is approved, or find that somebody has done so.

    Args:
        store: where the version is.
        name: of the reference, "datasets/birds".
        number: of the version.
        fingerprint: of its artifact.
        why: in words, 1 to `LONGEST_REASON` characters.
        by: who approves, 1 to `LONGEST_PERSON` characters.

    Raises:
        ValueError: a text is empty or too long, or an approval of another version has this number.
    """
    why, by = _bounded(why, "why", LONGEST_REASON), _bounded(by, "by", LONGEST_PERSON)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    approval = Approval(name=name, number=number, fingerprint=fingerprint, why=why, by=by, time=time)
    if _log(store, name).append(number, sealed(asdict(approval))):
        return approval
    earlier = approval_of(store, name, number, fingerprint)
    if earlier is None:
        raise ValueError(
            f"{_log(store, name).key(number)} in {store.url} approves another version that had the name "
            f"{name}@{number}; look at it, and delete it where that version is gone"
        )
    return earlier


def _bounded(text: str, option: str, longest: int) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= longest:
        raise ValueError(f"--{option} has {len(text):,} characters; give 1 to {longest:,}")
    return text


def _log(store: Store, name: str) -> NumberedLog[Approval]:
    remedy = ", or delete it: then its version is on hold again"
    return NumberedLog(store, f"{FOLDER}/{name}", "approval", Approval.parse, remedy)
