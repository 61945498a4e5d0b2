"""When statuses are written and what they say, by a clock set by hand; and stores that do not answer."""

import threading
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Funnel
from stages.artifacts.lease import Clock
from stages.artifacts.status import Status, TrainingStatus, status_log
from stages.artifacts.status_writer import EVERY, StatusWriter
from stages.errors import DiskError, NoSpaceError, RetryableError
from stages.reporter import Wait
from stages.store import Store, open_store
from tests.stages.test_crash import Watched

REQUEST = ("collect", "ab" * 32)


class Hands(Clock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def watch(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_800_000_000 + self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes end before the call that began them."""

    def begin(work: Callable[[], None]) -> Callable[[float], None]:
        work()
        return lambda seconds: None

    monkeypatch.setattr("stages.artifacts.status_writer.in_background", begin)


def writer(store: Store, clock: Clock) -> StatusWriter:
    return StatusWriter(store, *REQUEST, "birds", clock)


def newest(store: Store) -> Status:
    log = status_log(store, *REQUEST)
    return log.record(log.last())


@pytest.mark.usefixtures("at_once")
class TestWritten:
    def test_the_first_comes_at_once_and_the_next_ten_seconds_later(self, store: Store, clock: Hands) -> None:
        status = writer(store, clock)
        assert (newest(store).run, newest(store).done, newest(store).parts_total) == ("birds", 0, 0)
        clock.now += EVERY - 0.1
        status.progress(3, 9, "three")
        assert newest(store).done == 0
        clock.now += 0.1
        status.flush()
        assert (newest(store).done, newest(store).total, newest(store).note) == (3, 9, "three")
        assert newest(store).started < newest(store).updated

    def test_there_is_one_record_and_none_after_the_end(self, store: Store, clock: Hands) -> None:
        status = writer(store, clock)
        for done in range(5):
            clock.now += EVERY
            status.progress(done, 9, "")
            assert len(list(store.list("status"))) == 1
        assert status_log(store, *REQUEST).last() == 6
        status.close()
        status.close()
        clock.now += EVERY
        status.progress(5, 9, "late")
        assert list(store.list("status")) == []

    def test_what_a_dead_attempt_left_goes_with_the_first_record(self, store: Store, clock: Hands) -> None:
        writer(store, clock).progress(1, 2, "left")
        assert store.create(f"status/{'/'.join(REQUEST)}/00000007.json", b"damaged")
        status = writer(store, clock)
        assert [listed.key[-13:] for listed in store.list("status")] == ["00000008.json"]
        status.close()
        assert list(store.list("status")) == []

    def test_nothing_new_is_not_written_again(self, tmp_path: Path, clock: Hands) -> None:
        keys: list[str] = []

        def around(key: str, operation: Callable[[], Any]) -> Any:
            keys.append(key)
            return operation()

        status = writer(Watched(open_store(str(tmp_path)), around), clock)
        keys.clear()
        for _ in range(10):
            clock.now += EVERY
            status.flush()
        assert keys == []

    def test_parts_and_their_funnels_add_up(self, store: Store, clock: Hands) -> None:
        status = writer(store, clock)
        status.begin_parts(5, [Funnel(4, 3, {"timeout": 1}), None])
        status.part_made(Funnel(2, 1, {"too_small": 1}))
        status.part_made(None)
        status.begin_parts(2, [])
        status.warned()
        clock.now += EVERY
        status.flush()
        record = newest(store)
        assert (record.parts_made, record.parts_found, record.parts_total) == (2, 2, 7)
        assert record.funnel == Funnel(6, 4, {"timeout": 1, "too_small": 1})
        assert record.warnings == 1

    def test_speed_and_losses(self, store: Store, clock: Hands) -> None:
        status = writer(store, clock)
        status.progress(100, 1000, "starting", "images")
        clock.now += 20
        status.progress(300, 1000, "", "images", TrainingStatus.of({"loss": 0.5}, 9.5, 60.0))
        record = newest(store)
        assert (record.unit, record.per_second) == ("images", 10.0)
        assert record.training == TrainingStatus({"loss": 0.5}, 9.5, 60.0)
        assert record.seconds_left == 60.0
        clock.now += 20
        status.progress(300, 1000, "validates", "images")
        assert newest(store).training == record.training, "the last losses stand until there are others"

    def test_a_wait_is_shown_until_a_progress_without_it(self, store: Store, clock: Hands) -> None:
        status = writer(store, clock)
        for _ in range(2):
            clock.now += EVERY
            status.waiting(Wait("h.org", "noon", "see https://me:SECRET@h.org/?sig=SECRET"))
            status.progress(0, 0, "")
            wait = newest(store).wait
            assert wait is not None
            assert (wait.subject, wait.reason) == ("h.org", "see https://…@h.org/?…")
        clock.now += EVERY
        status.progress(1, 0, "")
        assert newest(store).wait is None

    @pytest.mark.parametrize("error", [RetryableError, NoSpaceError, DiskError, OSError, ValueError])
    def test_a_store_that_fails_does_not_fail_the_stage(
        self, tmp_path: Path, clock: Hands, error: type[Exception]
    ) -> None:
        store, broken = open_store(str(tmp_path)), [True]

        def around(_: str, operation: Callable[[], Any]) -> Any:
            if broken[0]:
                raise error("no answer")
            return operation()

        status = writer(Watched(store, around), clock)
        clock.now += EVERY
        status.progress(1, 2, "")
        assert list(store.list("status")) == []
        broken[0] = False
        clock.now += EVERY
        status.progress(2, 2, "")
        assert newest(store).done == 2
        broken[0] = True
        status.close()
        assert len(list(store.list("status"))) == 1

    def test_a_record_whose_answer_was_lost_is_superseded(self, tmp_path: Path, clock: Hands) -> None:
        store, answers = open_store(str(tmp_path)), [False]

        def around(key: str, operation: Callable[[], Any]) -> Any:
            result = operation()
            if key.endswith(".json") and not answers[0]:
                raise RetryableError("the answer was lost")
            return result

        status = writer(Watched(store, around), clock)
        answers[0] = True
        for done in (1, 2, 3):
            clock.now += EVERY
            status.progress(done, 9, "")
        assert newest(store).done == 3
        assert len(list(store.list("status"))) == 1
        status.close()
        assert list(store.list("status")) == []


def test_a_slow_store_holds_nobody_up_and_gets_one_at_a_time(tmp_path: Path, clock: Hands) -> None:
    store = open_store(str(tmp_path))
    answer, asked = threading.Event(), []

    def around(key: str, operation: Callable[[], Any]) -> Any:
        asked.append(key)
        assert answer.wait(60)
        return operation()

    status = writer(Watched(store, around), clock)
    for done in range(100):
        clock.now += EVERY
        status.progress(done, 100, "")
    assert len(asked) <= 1
    answer.set()
    status.close()
    assert list(store.list("status")) == []


def test_what_a_store_takes_after_the_end_goes_again(
    tmp_path: Path, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.artifacts.status_writer.PATIENCE", 0.0)
    store, answer = open_store(str(tmp_path)), threading.Event()
    deleted = threading.Event()

    def around(key: str, operation: Callable[[], Any]) -> Any:
        assert answer.wait(60)
        result = operation()
        if list(store.list("status")) == [] and key.endswith("00000001.json"):
            deleted.set()
        return result

    status = writer(Watched(store, around), clock)
    status.close()
    answer.set()
    assert deleted.wait(60)


def test_a_system_without_threads_fails_nothing(
    tmp_path: Path, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(work: Callable[[], None]) -> Callable[[float], None]:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("stages.artifacts.status_writer.in_background", begin)
    status = writer(open_store(str(tmp_path)), clock)
    clock.now += EVERY
    status.progress(1, 2, "")
    status.close()


class Noting(Watched):
    """Remembers when records are put."""

    def __init__(self, clock: Hands) -> None:
        super().__init__(open_store(f"memory://{uuid.uuid4().hex}"), lambda _, operation: operation())
        self.clock, self.times = clock, list[float]()

    def create(self, key: str, data: bytes) -> bool:
        self.times.append(self.clock.now)
        return super().create(key, data)


@pytest.mark.usefixtures("at_once")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(pauses=st.lists(st.floats(0.0, 25.0), max_size=60))
def test_records_are_at_least_ten_seconds_apart_and_none_is_late(pauses: list[float]) -> None:
    clock = Hands()
    store = Noting(clock)
    status = writer(store, clock)
    for done, pause in enumerate(pauses):
        clock.now += pause
        status.progress(done, 0, str(done))
        assert clock.now - store.times[-1] < EVERY
    assert all(after - before >= EVERY for before, after in pairwise(store.times))
