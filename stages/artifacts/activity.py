"""Activity: which requests of a store somebody works on now, told from their leases.

Garbage collection and purges must leave alone what is at work, and must not be held up for ever by a host
that vanished. Where nothing here can tell (another host's lease, a damaged record), the lease is watched
until its holder adds a heartbeat, or for as long as a lease stands without one.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stages.artifacts.lease import CLOCK, SECONDS, Clock, append, latest
from stages.artifacts.leaseholder import LeaseHolder, at_work, lease_log, this_host
from stages.store import Store


@dataclass(frozen=True)
class Activity:
    """What the leases of a store say; each is "leases/STAGE/FINGERPRINT"."""

    in_use: tuple[str, ...]
    """Leases that somebody holds, or may hold."""
    abandoned: tuple[tuple[str, int], ...]
    """Leases that nobody released and nobody renews, with the number of the last record."""
    damaged: tuple[str, ...]
    """For each last record that cannot be read: its key and what to do."""


def activity(store: Store, watch: float = SECONDS, clock: Clock = CLOCK) -> Activity:
    """Who is at work in a store.

    Args:
        store: where.
        watch: seconds without a heartbeat after which a lease counts as abandoned; with 0, nothing is watched
            and what nobody here can tell counts as in use.
        clock: what time is measured by.
    """
    busy: set[str] = set()
    unknown: dict[str, int] = {}
    damaged: list[str] = []
    for folder in _folders(store):
        number, holder, damage = latest(lease_log(store, folder))
        lives = at_work(holder) if holder is not None else False
        if lives:
            busy.add(folder)
        elif lives is None:
            unknown[folder] = number
        if damage is not None:
            damaged.append(str(damage))
    if not watch:
        return Activity(tuple(sorted(busy | unknown.keys())), (), tuple(damaged))
    began, pause = clock.watch(), 0.05
    while unknown and clock.watch() - began < watch:
        clock.sleep(pause)
        pause = min(1.0, 2 * pause)
        busy |= _moved(store, unknown)
    return Activity(tuple(sorted(busy)), tuple(sorted(unknown.items())), tuple(damaged))


def leases_in_use(store: Store) -> list[str]:
    """Folders ("leases/STAGE/FINGERPRINT") of the leases that somebody holds now, or may hold."""
    return list(activity(store, watch=0).in_use)


def release_abandoned(store: Store, leases: Iterable[tuple[str, int]]) -> list[str]:
    """End abandoned leases, so that a holder that comes back learns of it; returns those that went on."""
    nobody = LeaseHolder(uuid.uuid4().hex, this_host(), 0, 0.0, 0.0, ())
    return [folder for folder, number in leases if not append(lease_log(store, folder), number + 1, nobody)]


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life of whoever holds a lease."""

    alive: bool | None
    """Whether somebody holds it; None where nobody here can tell: another host's, or a damaged record."""
    time: datetime | None
    """When its newest record was put, aware, by the store's clock; None where there is none."""


def heartbeat(store: Store, folder: str) -> Heartbeat:
    """What can be told at once of one lease, "leases/STAGE/FINGERPRINT"; for people who look."""
    _, holder, _ = latest(lease_log(store, folder))
    alive = at_work(holder) if holder is not None else False
    return Heartbeat(alive, max((listed.modified for listed in store.list(folder)), default=None))


class Renewal:
    """Waits for a lease that may have been left, until its holder shows that it is at work."""

    def __init__(self) -> None:
        self._first: LeaseHolder | None = None

    def missing(self, holder: LeaseHolder) -> bool:
        """Whether no heartbeat has come since the first look, and none here can say that the holder lives."""
        self._first = self._first or holder
        return holder == self._first and not at_work(holder)


def _folders(store: Store) -> list[str]:
    return sorted({listed.key.rsplit("/", 1)[0] for listed in store.list("leases")})


def _moved(store: Store, unknown: dict[str, int]) -> set[str]:
    """Take out those leases that have another record than before; those of them that may be in use."""
    moved: set[str] = set()
    for folder, number in list(unknown.items()):
        now, holder, _ = latest(lease_log(store, folder))
        if now != number:
            del unknown[folder]
            if holder is not None and at_work(holder) is not False:
                moved.add(folder)
    return moved
