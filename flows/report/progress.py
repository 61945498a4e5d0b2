"""Who hears of a stage's progress: the terminal, and a progress artifact of Prefect."""

import contextvars
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows.report.task_runner import StoppableTaskRunner
from flows.step import Result
from stages.foreign_text import escape, escape_markdown
from stages.redaction import redact

EVERY = 2.0
"""Seconds between two updates of a progress artifact."""


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

    def __init__(self, key: str, step: str) -> None:
        """A reporter.

        Args:
            key: of the progress artifact, [a-z0-9-].
            step: what the task is called on screens.
        """
        self._key, self._step = key, step
        self._context = contextvars.copy_context()  # stages may report from threads of their own
        flow = FlowRunContext.get()
        runner = flow.task_runner if flow else None
        self._ending = runner.ending if isinstance(runner, StoppableTaskRunner) else None
        self._artifact: UUID | None = None
        self._last = 0.0

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Show it on the screens at once, and in Prefect at most every `EVERY` seconds."""
        notify_progress(self._step, done, total, note)
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._show(done, total, note)

    def stopping(self) -> bool:
        return self._ending is not None and self._ending.is_set()

    def warn(self, stage: str, words: str) -> None:
        """Show it on the screens, and in the run's log."""
        words = escape(redact(words), 2000)
        for screen in _screens:
            screen.warn(self._step, words)
        self._context.copy().run(lambda: get_run_logger().warning("%s: %s", stage, words))

    def done(self) -> None:
        """Leave the progress artifact at the end of its way."""
        if self._artifact is not None:
            self._show(1, 1, "finished")

    def _show(self, done: int, total: int, note: str) -> None:
        share = 100 * done / total if total else 0.0
        note = escape_markdown(note)
        words = f"{done:,} of {total:,}" + (f": {note}" if note else "") if total else note
        try:
            self._context.copy().run(self._send, min(100.0, share), words)
        except (httpx.HTTPError, PrefectException) as error:
            # The work goes on where the server does not answer for a while.
            self._context.copy().run(_warn, error)

    def _send(self, share: float, words: str) -> None:
        if self._artifact is None:
            made = create_progress_artifact(share, key=self._key, description=words or "working")
            self._artifact = cast(UUID, made)  # a coroutine only where a loop runs
        else:
            update_progress_artifact(self._artifact, share, description=words or "working")


def _warn(error: Exception) -> None:
    get_run_logger().warning("progress was not shown: %s", escape(redact(str(error)), 2000))
