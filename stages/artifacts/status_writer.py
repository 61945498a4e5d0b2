"""StatusWriter: leaves a stage's status in the store now and then, and takes it away at the end.

Statuses are written in threads of their own, one at a time: a store that is slow or out of reach holds no
stage up, and what it does not take is told again ten seconds later. A process that is killed leaves its last
status, which readers call stale and garbage collection sweeps.
"""

import math
import platform
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial, reduce
from typing import Any

from stages.artifacts.lease import CLOCK, Clock
from stages.artifacts.manifest import Funnel
from stages.artifacts.speed import Speed
from stages.artifacts.status import Status, TrainingStatus, iso, status_log
from stages.errors import StageError
from stages.foreign_text import escape
from stages.redaction import redact
from stages.reporter import Wait
from stages.store import Store

EVERY = 10.0
"""Seconds between two statuses of a stage, at least."""
PATIENCE = 10.0
"""Seconds that the end of a stage waits for a slow store to take its status away, at most."""

Join = Callable[[float], object]
"""Waits for some work in the background to end, for so many seconds at most."""


def in_background(work: Callable[[], None]) -> Join:
    """Begin some work in a thread, which ends with the process where it hangs.

    Raises:
        RuntimeError: the system has no thread left, or the process ends.
    """
    thread = threading.Thread(target=work, name="status", daemon=True)
    thread.start()
    return thread.join


class StatusWriter:
    """The status of one attempt at a stage, as it changes; safe to use from many threads."""

    def __init__(self, store: Store, stage: str, fingerprint: str, run: str, clock: Clock = CLOCK) -> None:
        """Begin, and write the first status at once.

        Args:
            store: where it is left.
            stage: at work.
            fingerprint: of the request.
            run: the name that people know the run by, or "".
            clock: `watch` says when the next is due, `wall` what a record is dated.
        """
        self._log, self._clock = status_log(store, stage, fingerprint), clock
        self._lock = threading.Lock()
        self._speed = Speed()
        self._status = Status(
            stage=stage, fingerprint=fingerprint, run=escape(run), host=escape(platform.node()),
            started=iso(clock.wall()), updated="", done=0, total=0, unit="", note="", per_second=None,
            parts_made=0, parts_found=0, parts_total=0, funnel=None, training=None, wait=None, warnings=0,
        )  # fmt: skip
        self._waited = False  # since the last progress
        self._changed, self._due = True, -math.inf
        self._writing, self._closed = False, False
        self._join: Join = lambda seconds: None
        self._keys: set[str] = set()  # of records that may be there; one thread at a time has them
        self._number = 0
        self.flush()

    def progress(
        self, done: int, total: int, note: str, unit: str = "", training: TrainingStatus | None = None
    ) -> None:
        """How far the stage is, see `Output.progress`; `note` is escaped and redacted already."""
        with self._lock:
            self._speed.count(self._clock.watch(), int(done), int(total))
            wait = self._status.wait if self._waited else None  # who waits says so before each progress
            self._waited = False
            self._change(done=int(done), total=int(total), note=note, unit=unit, wait=wait)
            if training is not None:
                self._change(training=training)
        self.flush()

    def waiting(self, wait: Wait) -> None:
        """What the stage waits for, until a progress that comes without it."""
        words = (wait.subject, wait.until, wait.reason, wait.more)
        with self._lock:
            self._waited = True
            self._change(wait=Wait(*(escape(redact(word)) for word in words)))
        self.flush()

    def begin_parts(self, total: int, finished: Iterable[Funnel | None]) -> None:
        """So many parts more belong to the stage; of those that were found finished, the funnels."""
        funnels = list(finished)
        with self._lock:
            status = self._status
            self._change(
                parts_total=status.parts_total + total,
                parts_found=status.parts_found + len(funnels),
                funnel=reduce(_sum, funnels, status.funnel),
            )

    def part_made(self, funnel: Funnel | None) -> None:
        """A part is recorded."""
        with self._lock:
            status = self._status
            self._change(parts_made=status.parts_made + 1, funnel=_sum(status.funnel, funnel))

    def warned(self) -> None:
        """A person was told of something odd."""
        with self._lock:
            self._change(warnings=self._status.warnings + 1)

    def flush(self) -> None:
        """Write what has changed, once `EVERY` seconds have passed and the last write has ended."""
        with self._lock:
            now = self._clock.watch()
            if self._closed or self._writing or not self._changed or now < self._due:
                return
            self._writing, self._changed, self._due = True, False, now + EVERY
            updated, speed = iso(self._clock.wall()), self._speed.per_second(now)
            status = replace(self._status, updated=updated, per_second=speed)
        self._begin(partial(self._write, status))

    def close(self) -> None:
        """Take the status away; waits for a slow store for `PATIENCE` seconds at most."""
        with self._lock:
            removes_itself, self._closed = self._writing or self._closed, True
        if not removes_itself:
            self._begin(self._remove)
        self._join(PATIENCE)

    def _change(self, **changes: Any) -> None:
        self._status, self._changed = replace(self._status, **changes), True

    def _begin(self, work: Callable[[], None]) -> None:
        try:
            self._join = in_background(work)
        except RuntimeError:  # the system has no thread left: the next status may find one
            self._writing = False

    def _write(self, status: Status) -> None:
        try:
            with suppress(StageError, OSError, ValueError):
                self._append(status)
        finally:
            with self._lock:
                self._writing = False
                closed = self._closed
            if closed:
                self._remove()

    def _append(self, status: Status) -> None:
        if not self._number:  # what an attempt left that was killed goes with the first record
            numbers = self._log.numbers()
            self._keys.update(map(self._log.key, numbers))
            self._number = max(numbers, default=0)
        self._number += 1
        older, key = sorted(self._keys), self._log.key(self._number)
        self._keys.add(key)
        if not self._log.append(
            self._number, status.to_json()
        ):  # another attempt's, or one that seemed to fail
            self._keys.discard(key)
            self._number = 0
            return
        self._log.store.delete(older)
        self._keys = {key}

    def _remove(self) -> None:
        with suppress(StageError, OSError, ValueError):
            self._log.store.delete(sorted(self._keys))


def _sum(total: Funnel | None, funnel: Funnel | None) -> Funnel | None:
    return total + funnel if total and funnel else total or funnel
