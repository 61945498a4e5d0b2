"""Leases: who works on a fingerprint, so that nobody else does the same work at the same time.

A lease is the highest of a row of numbered, create-only records below ``leases/STAGE/FINGERPRINT/``. The
holder renews it by adding the next number, its heartbeat; whoever finds it released, held by a process that
has died, or without a heartbeat for a minute takes it over in the same way, and of several racers one wins.
Leases save work; that results are right never rests on them.

The minute is measured by the one who waits, on a clock that nobody can set: hosts' wall clocks are never
compared, so that a lease dated a year ahead, or a clock that jumps, keeps nobody out and lets nobody in.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from types import TracebackType

from stages.artifacts.leaseholder import (
    UNREADABLE,
    LeaseHolder,
    at_work,
    born,
    claim,
    disclaim,
    lease_log,
    this_host,
)
from stages.artifacts.seal import sealed
from stages.errors import DamagedError, StageError
from stages.store import NumberedLog, Store

SECONDS = 60.0
"""A lease without a heartbeat for this long may be taken over; its holder renews it three times as often."""


class Clock:
    """The clocks of this host that leases go by."""

    def watch(self) -> float:
        """Seconds that a waiter has watched: suspended, it sees nothing, so that such time does not count."""
        return time.monotonic()

    def age(self) -> float:
        """Seconds by which a holder's heartbeat ages: others go on while this host is suspended."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def wall(self) -> float:
        """Unix seconds, for people who read a record."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


CLOCK = Clock()


class Lease:
    """A held lease; renews itself in a thread until released. A context manager."""

    def __init__(
        self,
        log: NumberedLog[LeaseHolder],
        number: int,
        holder: LeaseHolder,
        seconds: float,
        clock: Clock,
        since: float,
    ) -> None:
        self._log, self._number, self._holder = log, number, holder
        self._seconds, self._clock = seconds, clock
        self._since = since  # by `Clock.age`: taken before the last heartbeat was written
        self._lost = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {log.folder}", daemon=True)
        self._thread.start()

    def lapsed(self) -> bool:
        """Whether somebody else may have thought that nobody holds it."""
        return self._lost or self._clock.age() - self._since > self._seconds

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 3):
            if self.lapsed():  # the process was stopped, or the store out of reach, for too long
                return
            try:
                self._write(self._clock.wall() + self._seconds)
            except (StageError, OSError, ValueError):
                continue  # the next round may renew in time

    def _write(self, until: float) -> None:
        holder, since = replace(self._holder, until=until), self._clock.age()
        if append(self._log, self._number + 1, holder):
            self._number += 1
            self._holder, self._since = holder, since
            return
        # An earlier heartbeat that seemed to fail may stand there.
        self._number, current, _ = latest(self._log)
        self._lost = current is None or current.token != holder.token

    def release(self) -> None:
        """Let the next one in. A store that is out of reach is no error: then the lease ends by itself."""
        self._done.set()
        self._thread.join()
        disclaim(self._holder.token)
        if not self.lapsed():
            with suppress(StageError, OSError, ValueError):
                self._write(0.0)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(
    store: Store,
    stage: str,
    fingerprint: str,
    waiting: Callable[[LeaseHolder], bool],
    seconds: float = SECONDS,
    clock: Clock = CLOCK,
    reads: Sequence[str] = (),
) -> Lease | None:
    """Take the lease of a fingerprint, waiting for as long as somebody else has it.

    Args:
        store: where the lease is recorded.
        stage: of the work.
        fingerprint: of the work.
        waiting: called about once a second while another holder has it; False ends the waiting (say, because
            the result is there now), and None is returned.
        seconds: how long the lease stands without a heartbeat.
        clock: what time is measured by.
        reads: the artifacts that the work reads, "STAGE/FINGERPRINT": retention keeps them meanwhile.
    """
    log = lease_log(store, f"leases/{stage}/{fingerprint}")
    me = LeaseHolder(uuid.uuid4().hex, this_host(), os.getpid(), born(os.getpid()), 0.0, tuple(reads))
    claim(me.token)
    lease = None
    try:
        lease = _acquire(log, me, waiting, seconds, clock)
    finally:
        if lease is None:
            disclaim(me.token)
    return lease


def _acquire(
    log: NumberedLog[LeaseHolder],
    me: LeaseHolder,
    waiting: Callable[[LeaseHolder], bool],
    seconds: float,
    clock: Clock,
) -> Lease | None:
    pause, seen, first_seen = 0.05, -1, 0.0
    while True:
        number, holder, _ = latest(log)
        if number != seen:
            seen, first_seen = number, clock.watch()
        if holder is None or at_work(holder) is False or clock.watch() - first_seen >= seconds:
            mine, since = replace(me, until=clock.wall() + seconds), clock.age()
            if append(log, number + 1, mine):
                return Lease(log, number + 1, mine, seconds, clock, since)
            continue  # another racer won: look at what it wrote
        if not waiting(holder):
            return None
        clock.sleep(pause)
        pause = min(1.0, 2 * pause)


def latest(log: NumberedLog[LeaseHolder]) -> tuple[int, LeaseHolder | None, DamagedError | None]:
    """The highest record's number, its holder (None: no record), and what is wrong with it where damaged."""
    while True:
        number = log.last()
        if not number:
            return 0, None, None
        try:
            return number, log.record(number), None
        except DamagedError as error:
            return number, UNREADABLE, error
        except FileNotFoundError:  # renewed, and deleted, between listing and reading: look again
            continue


def append(log: NumberedLog[LeaseHolder], number: int, holder: LeaseHolder) -> bool:
    """Add a record and drop the one before it. False: the lease has gone on without this process."""
    if not log.append(number, sealed(asdict(holder))):
        return False
    if log.last() > number:  # this number was taken and dropped while this process was stopped
        log.store.delete([log.key(number)])
        return False
    with suppress(StageError, OSError, ValueError):  # a record too many does no harm: the highest counts
        log.store.delete([log.key(number - 1)])
    return True
