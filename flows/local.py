"""Steps run in this process, without Prefect: for `sdflow stage`, and for notebooks."""

import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Event
from types import FrameType

from flows.step import Result, Step, finished
from flows.terminal import Terminal
from stages.artifact import Artifact
from stages.config import Run
from stages.store import open_store


class TerminalReporter:
    """What a stage reports to without Prefect: shows progress, stops at an interrupt or termination."""

    def __init__(self, terminal: Terminal, ending: Event) -> None:
        self._terminal, self._ending = terminal, ending

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """On the terminal."""
        self._terminal.progress(stage, done, total, note)

    def stopping(self) -> bool:
        return self._ending.is_set()


def result_of(
    steps: Mapping[str, Step], name: str, run: Run, terminal: Terminal, *, upstream: bool = False
) -> Artifact:
    """The result of one step for a config, found finished or made now.

    Args:
        steps: the line, by name.
        name: of the step.
        run: the config.
        terminal: shows progress.
        upstream: also make the results that it reads, where they are not finished.

    Raises:
        ValueError: what it reads is not finished, and `upstream` is False; says what to run first.
        Stopped: after an interrupt or a termination; finished parts are kept.
    """
    step, store = steps[name], open_store(run.store)
    read: list[Artifact] = []
    for before in step.reads:
        if upstream:
            artifact = result_of(steps, before, run, terminal, upstream=True)
            terminal.finished(Result.of(artifact, run.store))
            read.append(artifact)
        else:
            read.append(finished(steps, before, run, store))
    with _asked_to_end() as ending:
        return step.run(store, run.name, getattr(run, name), read, TerminalReporter(terminal, ending))


@contextmanager
def _asked_to_end() -> Generator[Event]:
    """An event that SIGINT and SIGTERM set; a second one ends the process as usual."""
    ending = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        ending.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
