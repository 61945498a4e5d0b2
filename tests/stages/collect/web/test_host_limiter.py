"""What hosts are spared: how much at once, how fast, and when not at all."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web import host_limiter
from stages.collect.web.errors import FetchError, TransientError
from stages.collect.web.host_limiter import FAILURE_THRESHOLD, HostLimiter, HostWait
from stages.config.collect import HostLimit
from stages.reasons import Reason

UNIX = 1_700_000_000.0


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told as Unix time stands still, or a busy machine would be heard in it."""
    monkeypatch.setattr(host_limiter, "time", SimpleNamespace(time=lambda: UNIX))


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Middle(random.Random):
    """Draws what is expected."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter_of(
    clock: Callable[[], float], connections: int = 0, per_second: float = 0.0, *limits: HostLimit
) -> HostLimiter:
    return HostLimiter(connections, per_second, limits, clock=clock, jitter=Middle())


def wait(limiter: HostLimiter, host: str = "a.example") -> float | None:
    """Seconds for which a host is refused to who has no patience; None where it is not."""
    try:
        with limiter.slot(host, 0.0):
            return None
    except TransientError as error:
        return round((error.retry_at or 0.0) - UNIX, 3) if error.reason == Reason.HOST_SET_ASIDE else -1.0


def fail(limiter: HostLimiter, times: int = 1, host: str = "a.example") -> None:
    for _ in range(times):
        with limiter.slot(host, 0.0):
            limiter.report(host, ok=False)


def queued(limiter: HostLimiter, number: int, run: Callable[[int], None]) -> list[threading.Thread]:
    """Threads that stand in line for one host, in the order of their numbers."""
    threads: list[threading.Thread] = []
    for position in range(number):
        threads.append(threading.Thread(target=run, args=(position,), daemon=True))
        threads[-1].start()
        _until(lambda: len(limiter._state("a.example").queue) > position)  # noqa: B023 - waited for here
    return threads


def _until(true: Callable[[], bool]) -> None:
    for _ in range(60_000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


@pytest.mark.parametrize("limit", [1, 3])
def test_never_more_at_once_than_allowed(limit: int) -> None:
    limiter, lock, now, most = HostLimiter(limit, 0.0), threading.Lock(), [0], [0]
    done: list[int] = []

    def run(number: int) -> None:
        for _ in range(4):
            with limiter.slot("a.example", 60.0):
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                time.sleep(0.001)
                with lock:
                    now[0] -= 1
        done.append(number)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 50
    assert most[0] == limit


def test_who_comes_first_has_it_first(clock: Clock) -> None:
    limiter, order = limiter_of(clock, connections=1), []

    def run(number: int) -> None:
        with limiter.slot("a.example", 60.0):
            order.append(number)

    with limiter.slot("a.example", 0.0):
        threads = queued(limiter, 8, run)
    for thread in threads:
        thread.join(30)
    assert order == list(range(8))


def test_hosts_do_not_wait_for_each_other(clock: Clock) -> None:
    limiter = limiter_of(clock, connections=1, per_second=0.1)
    with ExitStack() as stack:
        for number in range(50):
            stack.enter_context(limiter.slot(f"{number}.example", 0.0))


def test_starts_are_evenly_spaced(clock: Clock) -> None:
    limiter = limiter_of(clock, per_second=4.0)
    assert wait(limiter) is None
    assert wait(limiter) == 0.25
    clock.now += 0.2
    assert wait(limiter) is not None
    clock.now += 0.05
    assert wait(limiter) is None
    clock.now += 10  # what was not used is not made up for
    assert wait(limiter) is None
    assert wait(limiter) is not None


@given(
    st.floats(0.5, 100.0),
    st.lists(st.floats(0.0, 0.3), max_size=60),
)
def test_no_second_has_more_starts_than_allowed(per_second: float, steps: list[float]) -> None:
    clock = Clock()
    limiter, starts = limiter_of(clock, per_second=per_second), list[float]()
    for step in steps:
        clock.now += step
        if wait(limiter) is None:
            starts.append(clock.now)
    assert all(later - earlier >= 1 / per_second - 1e-9 for earlier, later in pairwise(starts))


def test_waiting_lets_the_time_pass() -> None:
    limiter = HostLimiter(0, 20.0)
    started = time.monotonic()
    for _ in range(4):
        with limiter.slot("a.example", 5.0):
            pass
    assert time.monotonic() - started >= 3 / 20.0  # a law of the limit, no measurement


def test_who_would_wait_too_long_is_told_at_once_when_to_come(clock: Clock) -> None:
    limiter = limiter_of(clock, per_second=0.1)  # 10 s between two
    with limiter.slot("a.example", 0.0):
        pass

    def run(_: int) -> None:
        with suppress(FetchError), limiter.slot("a.example", 1000.0):
            pass

    threads = queued(limiter, 3, run)
    with pytest.raises(FetchError) as caught, limiter.slot("a.example", 39.0):
        pass
    assert caught.value.retry_at == UNIX + 40
    assert caught.value.detail == "its line is long"
    limiter.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_limits_of_some_limiter_of(clock: Clock) -> None:
    limiter = limiter_of(
        clock, 1, 1.0,
        HostLimit(host="Fast.Example", connections=0, per_second=0.0),
        HostLimit(host="*.slow.example", per_second=0.01),
    )  # fmt: skip
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(limiter.slot("fast.example", 0.0))
    assert [wait(limiter, "other.example") for _ in range(2)] == [None, 1.0]
    assert [wait(limiter, "cdn.slow.example") for _ in range(2)] == [None, 100.0]
    assert [wait(limiter, "slow.example") for _ in range(2)] == [None, 1.0], "no subdomain of itself"


def test_the_longest_of_limit_and_crawl_delay_holds(clock: Clock) -> None:
    limiter = limiter_of(clock, 0, 0.5)
    limiter.set_crawl_delay("a.example", 5.0)
    limiter.set_crawl_delay("b.example", 1.0)
    limiter.set_crawl_delay("c.example", float("inf"))
    assert [wait(limiter, "a.example") for _ in range(2)] == [None, 5.0]
    assert [wait(limiter, "b.example") for _ in range(2)] == [None, 2.0]
    assert [wait(limiter, "c.example") for _ in range(2)] == [None, 86_400.0]


def test_a_host_that_asks_for_time_gets_it(clock: Clock) -> None:
    limiter = limiter_of(clock)
    limiter.cool_down("a.example", 30.0)
    limiter.cool_down("a.example", 10.0)
    assert wait(limiter) == 30.0
    clock.now += 30
    assert wait(limiter) is None


def test_who_is_in_line_hears_of_it_too(clock: Clock) -> None:
    limiter, heard = limiter_of(clock, connections=1), list[FetchError]()

    def run(_: int) -> None:
        try:
            with limiter.slot("a.example", 20.0):
                pass
        except FetchError as error:
            heard.append(error)

    with limiter.slot("a.example", 0.0):
        threads = queued(limiter, 4, run)
        limiter.cool_down("a.example", 30.0)
        for thread in threads:
            thread.join(10)
    assert [(error.reason, error.detail) for error in heard] == [
        (Reason.HOST_SET_ASIDE, "it is given a rest")
    ] * 4


def cool_downs(limiter: HostLimiter, clock: Clock) -> Iterator[float]:
    """The cool-downs of a host whose every probe fails."""
    while True:
        seconds = wait(limiter)
        assert seconds is not None
        yield seconds
        clock.now += seconds
        fail(limiter)


def test_a_host_that_fails_again_and_again_is_given_rests_that_double(clock: Clock) -> None:
    limiter = limiter_of(clock)
    fail(limiter, FAILURE_THRESHOLD - 1)
    limiter.report("a.example", ok=True)
    fail(limiter, FAILURE_THRESHOLD - 1)
    assert wait(limiter) is None
    fail(limiter)
    given = cool_downs(limiter, clock)
    assert [next(given) for _ in range(10)] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    assert wait(limiter, "b.example") is None


def test_one_request_shows_whether_it_is_well_again(clock: Clock) -> None:
    limiter = limiter_of(clock)
    fail(limiter, FAILURE_THRESHOLD)
    clock.now += 2.0
    with limiter.slot("a.example", 0.0):
        assert wait(limiter) == 0.0, "one is enough"
        limiter.report("a.example", ok=True)
        assert wait(limiter) is None
    fail(limiter, FAILURE_THRESHOLD - 1)
    assert wait(limiter) is None, "it begins anew"


def test_a_probe_that_says_nothing_is_followed_by_another(clock: Clock) -> None:
    limiter = limiter_of(clock)
    fail(limiter, FAILURE_THRESHOLD)
    clock.now += 2.0
    with pytest.raises(KeyError), limiter.slot("a.example", 0.0):
        raise KeyError
    assert wait(limiter) is None


def test_failures_of_requests_that_began_before_the_rest_do_not_prolong_it(clock: Clock) -> None:
    limiter = limiter_of(clock)
    with ExitStack() as stack:
        for _ in range(90):
            stack.enter_context(limiter.slot("a.example", 0.0))
        for _ in range(90):
            limiter.report("a.example", ok=False)
    assert wait(limiter) == 2.0


def test_rests_vary(clock: Clock) -> None:
    given = set[float]()
    for seed in range(20):
        limiter = HostLimiter(0, 0.0, clock=clock, jitter=random.Random(seed))
        fail(limiter, FAILURE_THRESHOLD)
        given.add(wait(limiter) or 0.0)
    assert len(given) > 5
    assert all(1.5 <= seconds <= 2.5 for seconds in given)


def test_hosts_of_which_nothing_need_be_known_are_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_limiter, "MAX_HOSTS", 10)
    limiter = limiter_of(clock)
    limiter.cool_down("kept.example", 1e6)
    for number in range(100):
        fail(limiter, 1, f"{number}.example")
    assert len(limiter._states) <= 11
    assert wait(limiter, "kept.example") == 1e6


def test_the_longest_wait_is_of_a_host_with_a_queue_and_says_why(clock: Clock) -> None:
    limiter = limiter_of(clock)

    def stand(limiter: HostLimiter) -> None:
        with suppress(FetchError), limiter.slot("a.example", 3600.0):
            pass

    assert limiter.longest_wait(0.0) is None
    limiter.cool_down("b.example", 500.0)  # nobody waits there
    fail(limiter, FAILURE_THRESHOLD)
    queued(limiter, 1, lambda _: stand(limiter))
    assert limiter.longest_wait(1.0) == HostWait("a.example", 2.0, "it failed again and again", 0)
    limiter.cool_down("a.example", 30.0)
    assert limiter.longest_wait(1.0) == HostWait("a.example", 30.0, "it asked us to wait", 0)
    assert limiter.longest_wait(31.0) is None
    limiter.close()

    slow = limiter_of(clock)
    slow.set_crawl_delay("a.example", 60.0)
    with slow.slot("a.example", 0.0):
        pass
    queued(slow, 1, lambda _: stand(slow))
    assert slow.longest_wait(1.0) == HostWait("a.example", 60.0, "it is asked once in 60 s", 0)
    slow.close()
