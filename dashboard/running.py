"""What runs in a store now: whoever has a lease and lives, as far as this machine can tell."""

from dataclasses import dataclass

from stages.artifacts.activity import leases_in_use
from stages.artifacts.lease import latest
from stages.artifacts.leaseholder import at_work, lease_log
from stages.store import Store


@dataclass(frozen=True)
class Work:
    """A request that somebody works on."""

    stage: str
    fingerprint: str
    holder: str
    """Host and process."""
    here: bool
    """False: another host has it, and only time tells whether it lives."""


def running(store: Store) -> list[Work]:
    """Everything that is at work, or may be, by stage. Reads the last record of every lease."""
    return [_work(store, folder) for folder in leases_in_use(store)]


def _work(store: Store, folder: str) -> Work:
    _, stage, fingerprint = folder.split("/")
    _, holder, _ = latest(lease_log(store, folder))
    words = str(holder) if holder is not None else "somebody unknown"
    return Work(stage, fingerprint, words, holder is not None and at_work(holder) is True)
