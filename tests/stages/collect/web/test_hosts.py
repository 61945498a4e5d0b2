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

from stages.collect.web import hosts as hosts_module
from stages.collect.web.answer import FetchError, PassingError
from stages.collect.web.hosts import FAILURES, Hosts
from stages.config.collect import HostLimit
from stages.reasons import Reason

UNIX = 1_700_000_000.0


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told as Unix time stands still, or a busy machine would be heard in it."""
    monkeypatch.setattr(hosts_module, "time", SimpleNamespace(time=lambda: UNIX))


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


def hosts(
    clock: Callable[[], float], connections: int = 0, per_second: float = 0.0, *limits: HostLimit
) -> Hosts:
    return Hosts(connections, per_second, limits, clock=clock, jitter=Middle())


def wait(of: Hosts, host: str = "a.example") -> float | None:
    """Seconds for which a host is refused to who has no patience; None where it is not."""
    try:
        with of.turn(host, 0.0):
            return None
    except PassingError as error:
        return round((error.retry_at or 0.0) - UNIX, 3) if error.reason == Reason.HOST_SET_ASIDE else -1.0


def fail(of: Hosts, times: int = 1, host: str = "a.example") -> None:
    for _ in range(times):
        with of.turn(host, 0.0):
            of.report(host, ok=False)


def queued(of: Hosts, number: int, run: Callable[[int], None]) -> list[threading.Thread]:
    """Threads that stand in line for one host, in the order of their numbers."""
    threads: list[threading.Thread] = []
    for one in range(number):
        threads.append(threading.Thread(target=run, args=(one,), daemon=True))
        threads[-1].start()
        _until(lambda: len(of._of("a.example").line) > one)  # noqa: B023 - waited for here
    return threads


def _until(true: Callable[[], bool]) -> None:
    for _ in range(60_000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


@pytest.mark.parametrize("limit", [1, 3])
def test_never_more_at_once_than_allowed(limit: int) -> None:
    of, lock, now, most = Hosts(limit, 0.0), threading.Lock(), [0], [0]
    done: list[int] = []

    def run(number: int) -> None:
        for _ in range(4):
            with of.turn("a.example", 60.0):
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
    of, order = hosts(clock, connections=1), []

    def run(number: int) -> None:
        with of.turn("a.example", 60.0):
            order.append(number)

    with of.turn("a.example", 0.0):
        threads = queued(of, 8, run)
    for thread in threads:
        thread.join(30)
    assert order == list(range(8))


def test_hosts_do_not_wait_for_each_other(clock: Clock) -> None:
    of = hosts(clock, connections=1, per_second=0.1)
    with ExitStack() as stack:
        for number in range(50):
            stack.enter_context(of.turn(f"{number}.example", 0.0))


def test_starts_are_evenly_spaced(clock: Clock) -> None:
    of = hosts(clock, per_second=4.0)
    assert wait(of) is None
    assert wait(of) == 0.25
    clock.now += 0.2
    assert wait(of) is not None
    clock.now += 0.05
    assert wait(of) is None
    clock.now += 10  # what was not used is not made up for
    assert wait(of) is None
    assert wait(of) is not None


@given(
    st.floats(0.5, 100.0),
    st.lists(st.floats(0.0, 0.3), max_size=60),
)
def test_no_second_has_more_starts_than_allowed(per_second: float, steps: list[float]) -> None:
    clock = Clock()
    of, starts = hosts(clock, per_second=per_second), list[float]()
    for step in steps:
        clock.now += step
        if wait(of) is None:
            starts.append(clock.now)
    assert all(later - one >= 1 / per_second - 1e-9 for one, later in pairwise(starts))


def test_waiting_lets_the_time_pass() -> None:
    of = Hosts(0, 20.0)
    started = time.monotonic()
    for _ in range(4):
        with of.turn("a.example", 5.0):
            pass
    assert time.monotonic() - started >= 3 / 20.0  # a law of the limit, no measurement


def test_who_would_wait_too_long_is_told_at_once_when_to_come(clock: Clock) -> None:
    of = hosts(clock, per_second=0.1)  # 10 s between two
    with of.turn("a.example", 0.0):
        pass

    def run(_: int) -> None:
        with suppress(FetchError), of.turn("a.example", 1000.0):
            pass

    threads = queued(of, 3, run)
    with pytest.raises(FetchError) as caught, of.turn("a.example", 39.0):
        pass
    assert caught.value.retry_at == UNIX + 40
    assert caught.value.detail == "its line is long"
    of.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_limits_of_some_hosts(clock: Clock) -> None:
    of = hosts(
        clock, 1, 1.0,
        HostLimit(host="Fast.Example", connections=0, per_second=0.0),
        HostLimit(host="*.slow.example", per_second=0.01),
    )  # fmt: skip
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(of.turn("fast.example", 0.0))
    assert [wait(of, "other.example") for _ in range(2)] == [None, 1.0]
    assert [wait(of, "cdn.slow.example") for _ in range(2)] == [None, 100.0]
    assert [wait(of, "slow.example") for _ in range(2)] == [None, 1.0], "it is none of its own subdomains"


def test_the_longest_of_limit_and_crawl_delay_holds(clock: Clock) -> None:
    of = hosts(clock, 0, 0.5)
    of.slow_down("a.example", 5.0)
    of.slow_down("b.example", 1.0)
    of.slow_down("c.example", float("inf"))
    assert [wait(of, "a.example") for _ in range(2)] == [None, 5.0]
    assert [wait(of, "b.example") for _ in range(2)] == [None, 2.0]
    assert [wait(of, "c.example") for _ in range(2)] == [None, 86_400.0]


def test_a_host_that_asks_for_time_gets_it(clock: Clock) -> None:
    of = hosts(clock)
    of.set_aside("a.example", 30.0)
    of.set_aside("a.example", 10.0)
    assert wait(of) == 30.0
    assert of.due("a.example") == UNIX + 30
    clock.now += 30
    assert wait(of) is None
    assert of.due("a.example") == UNIX


def test_who_is_in_line_hears_of_it_too(clock: Clock) -> None:
    of, heard = hosts(clock, connections=1), list[FetchError]()

    def run(_: int) -> None:
        try:
            with of.turn("a.example", 20.0):
                pass
        except FetchError as error:
            heard.append(error)

    with of.turn("a.example", 0.0):
        threads = queued(of, 4, run)
        of.set_aside("a.example", 30.0)
        for thread in threads:
            thread.join(10)
    assert [(error.reason, error.detail) for error in heard] == [
        (Reason.HOST_SET_ASIDE, "it is given a rest")
    ] * 4


def rests(of: Hosts, clock: Clock) -> Iterator[float]:
    """The rests of a host whose every probe fails."""
    while True:
        seconds = wait(of)
        assert seconds is not None
        yield seconds
        clock.now += seconds
        fail(of)


def test_a_host_that_fails_again_and_again_is_given_rests_that_double(clock: Clock) -> None:
    of = hosts(clock)
    fail(of, FAILURES - 1)
    of.report("a.example", ok=True)
    fail(of, FAILURES - 1)
    assert wait(of) is None
    fail(of)
    given = rests(of, clock)
    assert [next(given) for _ in range(10)] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    assert wait(of, "b.example") is None


def test_one_request_shows_whether_it_is_well_again(clock: Clock) -> None:
    of = hosts(clock)
    fail(of, FAILURES)
    clock.now += 2.0
    with of.turn("a.example", 0.0):
        assert wait(of) == 0.0, "one is enough"
        of.report("a.example", ok=True)
        assert wait(of) is None
    fail(of, FAILURES - 1)
    assert wait(of) is None, "it begins anew"


def test_a_probe_that_says_nothing_is_followed_by_another(clock: Clock) -> None:
    of = hosts(clock)
    fail(of, FAILURES)
    clock.now += 2.0
    with pytest.raises(KeyError), of.turn("a.example", 0.0):
        raise KeyError
    assert wait(of) is None


def test_failures_of_requests_that_began_before_the_rest_do_not_prolong_it(clock: Clock) -> None:
    of = hosts(clock)
    with ExitStack() as stack:
        for _ in range(90):
            stack.enter_context(of.turn("a.example", 0.0))
        for _ in range(90):
            of.report("a.example", ok=False)
    assert wait(of) == 2.0


def test_rests_vary(clock: Clock) -> None:
    given = set[float]()
    for seed in range(20):
        of = Hosts(0, 0.0, clock=clock, jitter=random.Random(seed))
        fail(of, FAILURES)
        given.add(wait(of) or 0.0)
    assert len(given) > 5
    assert all(1.5 <= seconds <= 2.5 for seconds in given)


def test_hosts_of_which_nothing_need_be_known_are_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts_module, "MAX_HOSTS", 10)
    of = hosts(clock)
    of.set_aside("kept.example", 1e6)
    for number in range(100):
        fail(of, 1, f"{number}.example")
    assert len(of._hosts) <= 11
    assert wait(of, "kept.example") == 1e6
