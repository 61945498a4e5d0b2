"""What hosts are spared: requests at once and by the second, rests after failures, times that they ask for.

A host that fails again and again is set aside for a while that doubles, and then asked once: the circuit
breaker of M. Nygard, Release It! (2007), chapter 5. Nobody waits long in a line: who would is told at once
when to come back, so that threads stay free for other hosts.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from stages.collect.answer import FetchError, failed
from stages.config_collect import HostLimit
from stages.reasons import Reason

FAILURES = 5
"""Failures in a row after which a host is given a rest."""
FIRST_REST_SECONDS = 2.0
"""The first rest, give or take a quarter; doubled for each failure that follows it."""
LONGEST_REST_SECONDS = 300.0
MAX_HOSTS = 100_000
"""Hosts above which those are forgotten of which nothing need be known."""


@dataclass
class _Host:
    connections: int
    interval: float
    changed: threading.Condition
    now: int = 0
    """Requests at this moment."""
    waiting: int = 0
    next: float = 0.0
    """On the clock: the earliest start of another request."""
    aside: float = 0.0
    """On the clock: not before this, whatever its line says."""
    failures: int = 0
    probing: bool = False
    """It has had its rest, and one request shows whether it is well again."""


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
        """One request's turn: wait for it, have it while the block lasts.

        Args:
            host: its name, without port.
            patience: seconds; a turn that would come later is refused at once.

        Raises:
            FetchError: HOST_SET_ASIDE with the time at which to come back.
        """
        self._begin(host, patience)
        try:
            yield
        finally:
            self._end(host)

    def slow_down(self, host: str, seconds: float) -> None:
        """Leave at least so many seconds between two requests: a Crawl-delay."""
        with self._lock:
            one = self._of(host)
            one.interval = max(one.interval, seconds)

    def set_aside(self, host: str, seconds: float) -> None:
        """Ask the host for nothing for a while: a Retry-After."""
        with self._lock:
            one = self._of(host)
            one.aside = max(one.aside, self._clock() + seconds)
            one.changed.notify_all()

    def report(self, host: str, *, ok: bool) -> None:
        """Say how a request went: whether the host answered as one that is well."""
        with self._lock:
            one = self._of(host)
            if one.probing or not ok:
                one.changed.notify_all()
            one.probing = False
            if ok:
                one.failures = 0
            else:
                one.failures += 1
                if one.failures >= FAILURES:
                    doubled = FIRST_REST_SECONDS * 2.0 ** min(one.failures - FAILURES, 30)
                    rest = min(doubled, LONGEST_REST_SECONDS) * self._jitter.uniform(0.75, 1.25)
                    one.aside = max(one.aside, self._clock() + rest)

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
                one.changed.notify_all()

    def _begin(self, host: str, patience: float) -> None:
        with self._lock:
            if self._closed:
                raise failed(Reason.HOST_SET_ASIDE, "the collection ended")
            one = self._of(host)
            now = self._clock()
            until = now + patience
            start = max(one.next, one.aside, now)
            if start + one.waiting * one.interval > until:
                raise self._refused(one, start + one.waiting * one.interval)
            one.waiting += 1
            try:
                while now < start or one.probing or one.now >= (one.connections or one.now + 1):
                    one.changed.wait(min(max(start, now + 0.05), until) - now if now < start else until - now)
                    now, start = self._clock(), max(one.next, one.aside)
                    if self._closed:
                        raise failed(Reason.HOST_SET_ASIDE, "the collection ended")
                    if start > until or (now >= until and now >= start):
                        raise self._refused(one, max(start, now))
            finally:
                one.waiting -= 1
            one.now += 1
            one.probing = one.failures >= FAILURES
            one.next = now + one.interval if one.interval else 0.0

    def _refused(self, one: _Host, start: float) -> FetchError:
        at = time.time() + max(0.0, start - self._clock())
        words = (
            "it is given a rest" if one.failures >= FAILURES or one.aside > one.next else "its line is long"
        )
        return failed(Reason.HOST_SET_ASIDE, words, retry_at=at)

    def _end(self, host: str) -> None:
        with self._lock:
            one = self._of(host)
            one.now -= 1
            one.changed.notify()

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
            one = self._hosts[host] = _Host(
                connections, 1 / per_second if per_second else 0.0, threading.Condition(self._lock)
            )
        return one

    def _forget(self) -> None:
        now = self._clock()
        idle = [
            name
            for name, one in self._hosts.items()
            if not (one.now or one.waiting or one.failures or one.aside > now or one.next > now)
        ]
        for name in idle[: MAX_HOSTS // 2]:
            del self._hosts[name]


def _fits(pattern: str, host: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
