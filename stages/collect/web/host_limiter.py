"""What hosts are spared: requests at once and by the second, cool-downs after failures, times they ask for.

Each host has a rate limit and a circuit breaker. A host that fails again and again trips its breaker: it is
left alone for a cool-down that doubles (exponential back-off with jitter), and then asked once (the breaker
is half open): M. Nygard, Release It! (2007), chapter 5. Nobody waits long in a queue: who would is told at
once when to come back, so that threads stay free for other hosts.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stages.collect.web.errors import fetch_error
from stages.config.collect import HostLimit
from stages.reasons import Reason

FAILURE_THRESHOLD = 5
"""Failures in a row that trip a host's circuit breaker."""
FIRST_COOL_DOWN_SECONDS = 2.0
"""The first cool-down, give or take a quarter; doubled for each further one that does not help."""
LONGEST_COOL_DOWN_SECONDS = 300.0
LONGEST_INTERVAL = 86_400.0
"""Seconds between two requests above which a Crawl-delay is not believed."""
RECHECK_SECONDS = 60.0
"""After which a waiting thread checks again though it was not notified."""
MAX_HOSTS = 100_000
"""Hosts above which those are forgotten that neither run, wait nor cool down."""


@dataclass(frozen=True)
class HostWait:
    """A host that requests wait for."""

    host: str
    seconds: float
    """From now, until the next request to it may begin."""
    reason: str
    others: int
    """Hosts that are waited for besides."""


@dataclass
class _HostState:
    max_active: int
    interval: float
    active: int = 0
    """Requests at this moment."""
    queue: deque[threading.Condition] = field(default_factory=deque[threading.Condition])
    """The waiting threads, in order; only the first looks at the clock."""
    next_start: float = 0.0
    """On the clock: the earliest start of another request."""
    cool_until: float = 0.0
    """On the clock: the end of the cool-down, before which nothing is requested."""
    retry_after: bool = False
    """The host itself asked for the cool-down."""
    failures: int = 0
    """In a row, while the breaker is closed."""
    trips: int = 0
    """Of the circuit breaker, in a row; 0 while it is closed."""
    probing: bool = False
    """The breaker is half open: after the cool-down one request shows whether the host is well again."""

    def full(self) -> bool:
        """Whether one more request would be too many at once."""
        return self.probing or 0 < self.max_active <= self.active

    def reason_to_wait(self) -> str:
        """Why no request begins at this moment, in words."""
        if self.next_start > self.cool_until:
            return f"it is asked once in {self.interval:g} s"
        return "it asked us to wait" if self.retry_after else "it failed again and again"

    def notify_first(self) -> None:
        """Let the first in the queue check again."""
        if self.queue:
            self.queue[0].notify()

    def notify_all(self) -> None:
        """Let everybody in the queue check again, as some may now have to wait too long."""
        for waiter in self.queue:
            waiter.notify()


class HostLimiter:
    """Rate limit and circuit breaker of each host: gives requests their slots. Thread-safe."""

    def __init__(
        self,
        connections: int,
        per_second: float,
        overrides: Sequence[HostLimit] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
    ) -> None:
        """A limiter whose hosts are all idle and well.

        Args:
            connections: requests at once to one host; 0 sets no limit.
            per_second: requests a second to one host; 0 sets no limit.
            overrides: other limits for some hosts; the first that fits counts.
            clock: seconds, monotonic.
            jitter: draws what cool-downs vary by.
        """
        self._connections = connections
        self._per_second = per_second
        self._overrides = overrides
        self._clock = clock
        self._jitter = jitter or random.Random()
        self._lock = threading.Lock()
        self._states: dict[str, _HostState] = {}
        self._closed = False

    @contextmanager
    def slot(self, host: str, max_wait: float) -> Generator[None]:
        """Wait for a slot at a host, and occupy it while the block lasts: first come, first served.

        Args:
            host: its name, without port.
            max_wait: seconds; a slot that would come free later is refused at once.

        Raises:
            FetchError: HOST_SET_ASIDE with the time at which to come back.
        """
        state = self._acquire(host, max_wait)
        probe = state.probing
        try:
            yield
        finally:
            with self._lock:
                state.active -= 1
                if probe:
                    state.probing = False
                state.notify_first()

    def set_crawl_delay(self, host: str, seconds: float) -> None:
        """Leave at least so many seconds between two requests, a day at most: a Crawl-delay."""
        with self._lock:
            state = self._state(host)
            state.interval = max(state.interval, min(seconds, LONGEST_INTERVAL))

    def cool_down(self, host: str, seconds: float) -> None:
        """Request nothing from the host for a while: a Retry-After."""
        with self._lock:
            state = self._state(host)
            state.cool_until = max(state.cool_until, self._clock() + seconds)
            state.retry_after = True
            state.notify_all()

    def report(self, host: str, *, ok: bool) -> None:
        """Report, within its slot, how a request went: whether the host answered as one that is well.

        While a host cools down failures count no more: they are of requests that began before.
        """
        with self._lock:
            state = self._state(host)
            if ok:
                state.failures, state.trips, state.probing = 0, 0, False
                state.notify_first()
                return
            state.failures += not state.trips
            if state.probing or (state.failures >= FAILURE_THRESHOLD and not state.trips):
                doubled = min(
                    FIRST_COOL_DOWN_SECONDS * 2.0 ** min(state.trips, 30), LONGEST_COOL_DOWN_SECONDS
                )
                seconds = doubled * self._jitter.uniform(0.75, 1.25)
                state.cool_until = max(state.cool_until, self._clock() + seconds)
                state.retry_after = False
                state.trips, state.probing = state.trips + 1, False
                state.notify_all()

    def longest_wait(self, least: float) -> HostWait | None:
        """The wait that lasts longest of those that requests are in now; None where no host's does.

        Args:
            least: seconds that a wait must still last to count.
        """
        with self._lock:
            now = self._clock()
            waits = [
                (max(state.next_start, state.cool_until) - now, host, state)
                for host, state in self._states.items()
                if state.queue and max(state.next_start, state.cool_until) - now >= least
            ]
            if not waits:
                return None
            seconds, host, state = max(waits, key=lambda wait: wait[:2])
            return HostWait(host, seconds, state.reason_to_wait(), len(waits) - 1)

    def close(self) -> None:
        """Refuse every slot from now on, those that are waited for too."""
        with self._lock:
            self._closed = True
            for state in self._states.values():
                state.notify_all()

    def _acquire(self, host: str, max_wait: float) -> _HostState:
        with self._lock:
            state = self._state(host)
            deadline = self._clock() + max_wait
            waiter = threading.Condition(self._lock)
            state.queue.append(waiter)
            try:
                while (seconds := self._seconds_to_wait(state, waiter, deadline)) > 0:
                    waiter.wait(min(seconds, RECHECK_SECONDS))
                state.active += 1
                state.probing = state.trips > 0
                state.next_start = self._clock() + state.interval
            finally:
                state.queue.remove(waiter)
                state.notify_first()
            return state

    def _seconds_to_wait(self, state: _HostState, waiter: threading.Condition, deadline: float) -> float:
        """Seconds to sleep before checking again; 0 where the slot is free. Raises if it comes too late."""
        if self._closed:
            raise fetch_error(Reason.HOST_SET_ASIDE, "the collection ended")
        now = self._clock()
        position = state.queue.index(waiter)
        start = max(state.next_start, state.cool_until, now) + position * state.interval
        free = position == 0 and start <= now and not state.full()
        if start > deadline or (now >= deadline and not free):
            words = "it is given a rest" if state.trips or state.cool_until > now else "its line is long"
            raise fetch_error(Reason.HOST_SET_ASIDE, words, retry_at=time.time() + start - now)
        if free:
            return 0.0
        return start - now if position == 0 and start > now else deadline - now

    def _state(self, host: str) -> _HostState:
        state = self._states.get(host)
        if state is None:
            if len(self._states) >= MAX_HOSTS:
                self._evict_idle()
            connections, per_second = limits_of(host, self._connections, self._per_second, self._overrides)
            state = self._states[host] = _HostState(connections, 1 / per_second if per_second else 0.0)
        return state

    def _evict_idle(self) -> None:
        now = self._clock()
        idle = [
            host
            for host, state in self._states.items()
            if not (state.active or state.queue or state.cool_until > now or state.next_start > now)
        ]
        for host in idle[: MAX_HOSTS // 2]:
            del self._states[host]


def limits_of(
    host: str, connections: int, per_second: float, overrides: Sequence[HostLimit]
) -> tuple[int, float]:
    """A host's limits, requests at once and a second: those of the first override that fits, else the
    usual."""
    limit = next((limit for limit in overrides if _matches(limit.host, host)), None)
    if limit is None:
        return connections, per_second
    return (
        connections if limit.connections is None else limit.connections,
        per_second if limit.per_second is None else limit.per_second,
    )


def _matches(pattern: str, host: str) -> bool:
    pattern = pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
