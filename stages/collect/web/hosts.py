"""What hosts are spared: requests at once and by the second, rests after failures, times that they ask for.

A host that fails again and again is set aside for a while that doubles, and then asked once: the circuit
breaker of M. Nygard, Release It! (2007), chapter 5. Nobody waits long in a line: who would is told at once
when to come back, so that threads stay free for other hosts.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stages.collect.web.answer import failed
from stages.config.collect import HostLimit
from stages.reasons import Reason

FAILURES = 5
"""Failures in a row after which a host is given a rest."""
FIRST_REST_SECONDS = 2.0
"""The first rest, give or take a quarter; doubled for each further one that does not help."""
LONGEST_REST_SECONDS = 300.0
LONGEST_INTERVAL = 86_400.0
"""Seconds between two requests above which a Crawl-delay is not believed."""
LOOK_SECONDS = 60.0
"""After which who waits looks again though nobody woke him."""
MAX_HOSTS = 100_000
"""Hosts above which those are forgotten of which nothing need be known."""


@dataclass
class _Host:
    connections: int
    interval: float
    now: int = 0
    """Requests at this moment."""
    line: deque[threading.Condition] = field(default_factory=deque[threading.Condition])
    """Who waits, in order; only the first looks at the clock."""
    next: float = 0.0
    """On the clock: the earliest start of another request."""
    aside: float = 0.0
    """On the clock: not before this, whatever its line says."""
    failures: int = 0
    """In a row, while it was thought to be well."""
    rests: int = 0
    """In a row; 0 where it is thought to be well."""
    probing: bool = False
    """It has had its rest, and one request shows whether it is well again."""

    def full(self) -> bool:
        """Whether one more request would be too many at once."""
        return self.probing or 0 < self.connections <= self.now

    def wake(self, everybody: bool = False) -> None:
        """Let the first in the line look again; everybody where some may now have to wait too long."""
        for one in list(self.line) if everybody else list(self.line)[:1]:
            one.notify()


class Hosts:
    """Gives each request its turn at its host; safe to use from many threads."""

    def __init__(
        self,
        connections: int,
        per_second: float,
        overrides: Sequence[HostLimit] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
    ) -> None:
        """Hosts of which nothing is known yet.

        Args:
            connections: requests at once to one host; 0 sets no limit.
            per_second: requests a second to one host; 0 sets no limit.
            overrides: other limits for some hosts; the first that fits counts.
            clock: seconds, monotonic.
            jitter: draws what rests vary by.
        """
        self._connections = connections
        self._per_second = per_second
        self._overrides = overrides
        self._clock = clock
        self._jitter = jitter or random.Random()
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._closed = False

    @contextmanager
    def turn(self, host: str, patience: float) -> Generator[None]:
        """One request's turn: wait for it, have it while the block lasts. Who comes first has it first.

        Args:
            host: its name, without port.
            patience: seconds; a turn that would come later is refused at once.

        Raises:
            FetchError: HOST_SET_ASIDE with the time at which to come back.
        """
        one = self._begin(host, patience)
        probe = one.probing
        try:
            yield
        finally:
            with self._lock:
                one.now -= 1
                if probe:
                    one.probing = False
                one.wake()

    def slow_down(self, host: str, seconds: float) -> None:
        """Leave at least so many seconds between two requests, a day at most: a Crawl-delay."""
        with self._lock:
            one = self._of(host)
            one.interval = max(one.interval, min(seconds, LONGEST_INTERVAL))

    def set_aside(self, host: str, seconds: float) -> None:
        """Ask the host for nothing for a while: a Retry-After."""
        with self._lock:
            one = self._of(host)
            one.aside = max(one.aside, self._clock() + seconds)
            one.wake(everybody=True)

    def report(self, host: str, *, ok: bool) -> None:
        """Say, within its turn, how a request went: whether the host answered as one that is well.

        While it rests failures count no more: they are of requests that began before.
        """
        with self._lock:
            one = self._of(host)
            if ok:
                one.failures, one.rests, one.probing = 0, 0, False
                one.wake()
                return
            one.failures += not one.rests
            if one.probing or (one.failures >= FAILURES and not one.rests):
                doubled = min(FIRST_REST_SECONDS * 2.0 ** min(one.rests, 30), LONGEST_REST_SECONDS)
                one.aside = max(one.aside, self._clock() + doubled * self._jitter.uniform(0.75, 1.25))
                one.rests, one.probing = one.rests + 1, False
                one.wake(everybody=True)

    def due(self, host: str) -> float:
        """Unix time, seconds, from which the host may be asked."""
        with self._lock:
            one = self._of(host)
            return time.time() + max(0.0, max(one.aside, one.next) - self._clock())

    def close(self) -> None:
        """Refuse every turn from now on, those that are waited for too."""
        with self._lock:
            self._closed = True
            for one in self._hosts.values():
                one.wake(everybody=True)

    def _begin(self, host: str, patience: float) -> _Host:
        with self._lock:
            one = self._of(host)
            until = self._clock() + patience
            me = threading.Condition(self._lock)
            one.line.append(me)
            try:
                while (seconds := self._wait(one, me, until)) > 0:
                    me.wait(min(seconds, LOOK_SECONDS))
                one.now += 1
                one.probing = one.rests > 0
                one.next = self._clock() + one.interval
            finally:
                one.line.remove(me)
                one.wake()
            return one

    def _wait(self, one: _Host, me: threading.Condition, until: float) -> float:
        """Seconds to sleep before looking again; 0 where the turn has come. Raises if it comes too late."""
        if self._closed:
            raise failed(Reason.HOST_SET_ASIDE, "the collection ended")
        now = self._clock()
        ahead = one.line.index(me)
        start = max(one.next, one.aside, now) + ahead * one.interval
        mine = ahead == 0 and start <= now and not one.full()
        if start > until or (now >= until and not mine):
            words = "it is given a rest" if one.rests or one.aside > now else "its line is long"
            raise failed(Reason.HOST_SET_ASIDE, words, retry_at=time.time() + start - now)
        if mine:
            return 0.0
        return start - now if ahead == 0 and start > now else until - now

    def _of(self, host: str) -> _Host:
        one = self._hosts.get(host)
        if one is None:
            if len(self._hosts) >= MAX_HOSTS:
                self._forget()
            limit = next((limit for limit in self._overrides if _fits(limit.host, host)), None)
            connections, per_second = self._connections, self._per_second
            if limit is not None:
                connections = connections if limit.connections is None else limit.connections
                per_second = per_second if limit.per_second is None else limit.per_second
            one = self._hosts[host] = _Host(connections, 1 / per_second if per_second else 0.0)
        return one

    def _forget(self) -> None:
        now = self._clock()
        idle = [
            name
            for name, one in self._hosts.items()
            if not (one.now or one.line or one.aside > now or one.next > now)
        ]
        for name in idle[: MAX_HOSTS // 2]:
            del self._hosts[name]


def _fits(pattern: str, host: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
