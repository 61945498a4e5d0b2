"""Who hears of a stage's progress: the terminal, and a progress artifact of Prefect."""

import contextvars
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows.patience import tried_once
from flows.report.prefect import key_of
from flows.report.task_runner import StoppableTaskRunner
from flows.step import Result
from stages.foreign_text import escape, escape_markdown
from stages.redaction import redact
from stages.reporter import Wait

EVERY = 10.0
"""Seconds between two updates of a progress artifact, each of which is an event of 11 kB; and those after
which the run's log says that a stage waits."""
PAUSE = 60.0
"""Seconds more until the next update, where the server did not answer the last."""


class Screen(Protocol):
    """A place where people watch a run; steps go by their names behind `RunContext.prefix`.

    A protocol, so that reports know nothing of the ways to run, which stand on them (`flows.run.terminal`).
    """

    def progress(self, step: str, done: int, total: int, note: str) -> None: ...

    def warn(self, step: str, words: str) -> None: ...

    def finished(self, step: str, result: Result) -> None: ...

    def failed(self, step: str, error: BaseException) -> None: ...


_screens: list[Screen] = []  # of this process; tasks run in its threads


@contextmanager
def shown_on(screen: Screen) -> Generator[None]:
    """While this lasts, every step of this process reports to a screen too."""
    _screens.append(screen)
    try:
        yield
    finally:
        _screens.remove(screen)


def notify_progress(step: str, done: int, total: int, note: str) -> None:
    """Let the screens know how far something is."""
    for screen in _screens:
        screen.progress(step, done, total, note)


def notify_finished(step: str, result: Result) -> None:
    """Let the screens know that a step has its result."""
    for screen in _screens:
        screen.finished(step, result)


def notify_failed(step: str, error: BaseException) -> None:
    """Let the screens know that a step has failed; it may be tried again."""
    for screen in _screens:
        screen.failed(step, error)


class TaskReporter:
    """What a stage reports to when Prefect runs it; to be made in the task's own thread."""

    def __init__(self, name: str, stage: str, step: str, clock: Callable[[], float] = time.monotonic) -> None:
        """A reporter.

        Args:
            name: of the run; with the stage it makes the progress artifact's key and description.
            stage: name of the stage.
            step: what the task is called on screens.
            clock: seconds.
        """
        self._key, self._title, self._step = key_of(name, stage, "progress"), f"{name}, {stage}", step
        self._clock = clock
        self._context = contextvars.copy_context()  # stages may report from threads of their own
        flow = FlowRunContext.get()
        runner = flow.task_runner if flow else None
        self._ending = runner.ending if isinstance(runner, StoppableTaskRunner) else None
        self._lock = threading.Lock()
        """Of the thread that talks to Prefect; others of the stage work on meanwhile."""
        self._artifact: UUID | None = None
        self._last = -math.inf
        self._share = 0.0
        self._ended = False
        self._wait: tuple[str, str] | None = None
        self._wait_began = 0.0
        self._wait_logged = False

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Show it on the screens at once, and in Prefect at most every `EVERY` seconds."""
        notify_progress(self._step, done, total, note)
        if self._lock.acquire(blocking=False):
            try:
                if not self._ended and self._clock() - self._last >= EVERY:
                    self._last = self._clock()
                    self._show(done, total, note)
            finally:
                self._lock.release()

    def stopping(self) -> bool:
        return self._ending is not None and self._ending.is_set()

    def warn(self, stage: str, words: str) -> None:
        """Show it on the screens, and in the run's log."""
        words = escape(redact(words), 2000)
        for screen in _screens:
            screen.warn(self._step, words)
        self._context.copy().run(lambda: get_run_logger().warning("%s: %s", stage, words))

    def waiting(self, stage: str, wait: Wait) -> None:
        """A line in the run's log, once for each wait that has lasted for `EVERY` seconds."""
        if (wait.subject, wait.until) != self._wait:
            self._wait = (wait.subject, wait.until)
            self._wait_began, self._wait_logged = self._clock(), False
        elif not self._wait_logged and self._clock() - self._wait_began >= EVERY:
            self._wait_logged = True
            self._context.copy().run(lambda: get_run_logger().info("%s: %s", stage, wait))

    def finished(self, words: str) -> None:
        """Leave the progress artifact, if there is one, whole, with what came of it, in Markdown."""
        self._end(100.0, words)

    def failed(self, error: BaseException) -> None:
        """Leave the progress artifact, if there is one, where it is, with what went wrong."""
        words = str(error) or type(error).__name__
        self._end(self._share, f"{self._title}: failed: {escape_markdown(redact(words))}")

    def _end(self, share: float, words: str) -> None:
        with self._lock:  # what another thread sends at this moment comes before
            self._ended = True
            if self._artifact is not None:
                self._draw(share, words)

    def _show(self, done: int, total: int, note: str) -> None:
        self._share = min(100.0, 100 * done / total) if total else 0.0
        words = [f"{done:,} of {total:,}"] if total else []
        words += [escape_markdown(note)] if note else []
        self._draw(self._share, f"{self._title}: {'; '.join(words) or 'at work'}")

    def _draw(self, share: float, words: str) -> None:
        try:
            self._context.copy().run(self._send, share, words)
        except (httpx.HTTPError, PrefectException) as error:
            # The work goes on where the server does not answer for a while.
            self._last = self._clock() + PAUSE
            self._context.copy().run(_warn, error)

    def _send(self, share: float, words: str) -> None:
        with tried_once():
            if self._artifact is None:
                made = create_progress_artifact(share, key=self._key, description=words)
                self._artifact = cast(UUID, made)  # a coroutine only where a loop runs
            else:
                update_progress_artifact(self._artifact, share, description=words)


def _warn(error: Exception) -> None:
    get_run_logger().warning("progress was not shown: %s", escape(redact(str(error)), 2000))
