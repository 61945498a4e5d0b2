import operator
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from stages.engine import Engine, Inline, Processes, Threads
from stages.errors import RetryableError, Stopped


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Its workers; besides them, multiprocessing keeps a process that tracks resources."""
    return [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("engine", [Inline(), Processes(2), Threads(2)])
def test_every_payload_has_its_result(engine: Engine) -> None:
    assert sorted(engine.map(operator.neg, range(20))) == sorted(-number for number in range(20))


@pytest.mark.parametrize("engine", [Inline(), Processes(2), Threads(2)])
def test_an_error_in_a_part_is_the_callers(engine: Engine) -> None:
    results = engine.map(int, ["1", "two", "3"])
    with pytest.raises(ValueError, match="two"):
        list(results)


def test_what_is_done_does_not_wait_for_what_is_slow() -> None:
    with closing(Processes(2).map(time.sleep, [600.0, 0.0, 0.0])) as results:
        assert [next(results), next(results)] == [None, None]


def test_inline_makes_one_at_a_time() -> None:
    drawn: list[int] = []

    def payloads() -> Iterator[int]:
        for number in range(10):
            drawn.append(number)
            yield number

    results = Inline().map(operator.neg, payloads())
    next(results)
    assert drawn == [0]


def test_processes_run_only_a_few_payloads_ahead() -> None:
    drawn: list[int] = []

    def payloads() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    results = Processes(1).map(operator.neg, payloads())
    next(results)
    results.close()
    assert len(drawn) <= 4


def test_without_work_no_process_starts() -> None:
    assert list(Processes(2).map(operator.neg, [])) == []
    assert not workers_of(psutil.Process())


def test_closing_ends_the_workers() -> None:
    results = Processes(2).map(time.sleep, [0.0, 600.0, 600.0])
    next(results)
    workers = workers_of(psutil.Process())
    assert workers
    results.close()
    assert not any(worker.is_running() for worker in workers)


def test_a_worker_that_dies_is_worth_another_try() -> None:
    with pytest.raises(RetryableError, match="a worker process died"):
        list(Processes(1).map(os._exit, [1]))


def _hungry(limit: int) -> int:
    """More than this process may have, as under `ulimit -v` or in a container."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return len(bytearray(limit))


def test_a_worker_without_enough_memory_is_worth_another_try() -> None:
    with pytest.raises(RetryableError, match="may have less memory than a part needs; try fewer workers"):
        list(Processes(1).map(_hungry, [8 << 30]))


PARENT = """
import time
from stages.engine import Processes
if __name__ == "__main__":
    results = Processes(1).map(time.sleep, [0.0, 600.0])
    next(results)
    print("working", flush=True)
    next(results)
"""


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "working\n"
    workers = workers_of(psutil.Process(parent.pid))
    assert workers
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    _, alive = psutil.wait_procs(workers, timeout=300)
    assert not alive


def _sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_check_ends_the_waiting_for_a_long_part() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Stopped("asked to stop")

    with pytest.raises(Stopped, match="asked to stop"):
        list(Processes(1).map(_sleeps, [600.0], check))


def test_threads_work_on_so_many_parts_at_once() -> None:
    together = threading.Barrier(3, timeout=300)

    def meet(number: int) -> int:
        together.wait()
        return number

    assert sorted(Threads(3).map(meet, range(6))) == list(range(6))


def test_threads_that_are_left_are_told_and_waited_for() -> None:
    left, ended = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number:
            assert left.wait(300)
            ended.set()
        return number

    with closing(Threads(2, left.set).map(work, [1, 0])) as results:
        assert next(results) == 0
        assert not ended.is_set()
    assert ended.is_set()
