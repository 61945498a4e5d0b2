"""How a stage's parts are mapped: over processes, over threads, or one by one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from stages.errors import RetryableError

T = TypeVar("T")
R = TypeVar("R")


PULSE = 0.5
"""Seconds between two checks while a result is waited for."""


def nothing() -> None:
    """A check that never objects."""


class Engine(Protocol):
    """Maps a function over payloads; results come as soon as they are there, in any order.

    `check` is called now and then while results are waited for; what it raises ends the mapping. Closing the
    generator ends the work that nobody will hear of.
    """

    def map(
        self, function: Callable[[T], R], payloads: Iterable[T], check: Callable[[], None] = nothing
    ) -> Generator[R]: ...


class Inline:
    """One after the other in this process: for parts that share a model, or a device."""

    def map(
        self, function: Callable[[T], R], payloads: Iterable[T], check: Callable[[], None] = nothing
    ) -> Generator[R]:
        for payload in payloads:
            check()
            yield function(payload)


class Processes:
    """Over processes on this machine, a few parts ahead. Functions are module-level, payloads plain data."""

    def __init__(self, workers: int = 0) -> None:
        """An engine.

        Args:
            workers: processes; 0 takes one for each core that this process may use.
        """
        self.workers = workers or len(os.sched_getaffinity(0))

    def map(
        self, function: Callable[[T], R], payloads: Iterable[T], check: Callable[[], None] = nothing
    ) -> Generator[R]:
        """As `Engine.map`; RetryableError if a worker dies (killed for its memory, say)."""
        pool: ProcessPoolExecutor | None = None
        ahead: set[Future[R]] = set()
        try:
            for payload in payloads:
                if pool is None:  # where there is nothing to do, no process starts
                    pool = ProcessPoolExecutor(
                        self.workers, get_context("spawn"), _end_with_parent, (os.getpid(),)
                    )
                with _deaf_to_interrupts():
                    ahead.add(pool.submit(function, payload))
                yield from _ready(ahead, check, waits=len(ahead) > 2 * self.workers)
            while ahead:
                yield from _ready(ahead, check, waits=True)
        except MemoryError as error:
            raise RetryableError(
                "a worker process may have less memory than a part needs; try fewer workers, or smaller parts"
            ) from error
        except BrokenProcessPool as error:
            raise RetryableError(
                "a worker process died, perhaps for want of memory; try fewer workers"
            ) from error
        finally:
            if pool is not None:
                _end(pool)


class Threads:
    """Over threads of this process, so many parts at once: for parts that wait for others' answers."""

    def __init__(self, width: int, leave: Callable[[], None] = nothing) -> None:
        """An engine.

        Args:
            width: parts at once.
            leave: called where the mapping ends early; has the parts that are at work end soon.
        """
        self.width = width
        self._leave = leave

    def map(
        self, function: Callable[[T], R], payloads: Iterable[T], check: Callable[[], None] = nothing
    ) -> Generator[R]:
        """As `Engine.map`. Closing it waits for the parts that are at work: a thread cannot be ended."""
        ahead: set[Future[R]] = set()
        pool = ThreadPoolExecutor(self.width, "part")
        try:
            for payload in payloads:
                ahead.add(pool.submit(function, payload))
                yield from _ready(ahead, check, waits=len(ahead) >= self.width)
            while ahead:
                yield from _ready(ahead, check, waits=True)
        finally:
            if ahead:
                self._leave()
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Generator[None]:
    """Processes that start in the block don't hear Ctrl-C, which terminals send them; their parent does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready(ahead: set[Future[R]], check: Callable[[], None], waits: bool) -> Iterator[R]:
    """Take out what is done, errors last, so that they lose nothing that is finished. `waits` for one."""
    done, _ = wait(ahead, PULSE if waits else 0, FIRST_COMPLETED)
    while waits and not done:
        check()
        done, _ = wait(ahead, PULSE, FIRST_COMPLETED)
    ahead -= done
    for future in sorted(done, key=lambda future: future.exception() is not None):
        yield future.result()


def _end(pool: ProcessPoolExecutor) -> None:
    """Results that nobody will read (an error, a stop) are not waited for; their workers' ends are."""
    workers: dict[int, Any] = dict(getattr(pool, "_processes", None) or {})
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers.values():
        worker.terminate()
    for worker in workers.values():
        worker.join(10)
        worker.kill()


def _end_with_parent(parent: int) -> None:
    """A worker whose parent was killed ends too, instead of waiting for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
