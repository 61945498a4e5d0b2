"""Steps run in this process, without Prefect: for `sdflow stage`, and for notebooks."""

import signal
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any

from flows.pinning import pinned_config
from flows.run.terminal import Terminal
from flows.step import Result, Step, check_released, finished, reads
from stages.artifacts.artifact import Artifact
from stages.artifacts.names import check_name
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.reporter import Wait
from stages.store import Store, open_store

NOTHING: Mapping[str, str] = {}


class TerminalReporter:
    """What a stage reports to without Prefect: shows progress, stops at an interrupt or termination."""

    def __init__(self, terminal: Terminal, ending: Event) -> None:
        self._terminal, self._ending = terminal, ending

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        """On the terminal."""
        self._terminal.progress(stage, done, total, note)

    def stopping(self) -> bool:
        return self._ending.is_set()

    def warn(self, stage: str, words: str) -> None:
        """On a line of its own, that stays."""
        self._terminal.warn(stage, words)

    def waiting(self, stage: str, wait: Wait) -> None:
        """The note of the progress says it."""


def result_of(
    steps: Mapping[str, Step],
    name: str,
    run: Run,
    terminal: Terminal,
    *,
    upstream: bool = False,
    given: Mapping[str, str] = NOTHING,
) -> Artifact:
    """The result of one step for a config, found finished or made now.

    Args:
        steps: the line, by name.
        name: of the step.
        run: the config.
        terminal: shows progress.
        upstream: also make the results that it reads, where they are not finished.
        given: references or fingerprints to read instead of the config's own results, by the step of each.

    Raises:
        ValueError: what it reads is not finished, and `upstream` is False; says what to run first. It does
            not read what is given, or something else goes by that name.
        Stopped: after an interrupt or a termination; finished parts are kept.
    """
    step, store = steps[name], open_store(run.store)
    for unread in given.keys() - set(step.reads):
        raise ValueError(
            f"{name} reads no result of {unread}; it reads {', '.join(step.reads) or 'sources alone'}"
        )
    named = {source: _resolved(store, text, steps[source]) for source, text in given.items()}
    own = [source for source in reads(steps, name, run) if source not in named]
    before: dict[str, Artifact] = {}
    for needed in _needed(steps, own, run) if upstream else ():
        inputs = [before[source] for source in reads(steps, needed, run)]
        check_released(store, run.name, inputs)
        before[needed] = _run(steps[needed], run, store, inputs, terminal)
        terminal.finished(needed, Result.of(before[needed], run.store))
    read = named | {
        source: before[source] if upstream else finished(steps, source, run, store) for source in own
    }
    check_released(store, run.name, [read[source] for source in own])
    return _run(step, run, store, [read[source] for source in step.reads if source in read], terminal)


def run_alone(step: Step, store: str, name: str, config: Any, read: Sequence[Artifact]) -> Artifact:
    """The result of a step that no run has, filed under a name; progress and its end go to the terminal.

    Args:
        step: with its stage and the kind of its reference.
        store: URL of where results live.
        name: what the result is filed under.
        config: of the stage.
        read: artifacts that the stage reads, in its order.

    Raises:
        ValueError: the name is none that a reference may have, or the stage refuses its config or inputs.
    """
    check_name(name)
    terminal = Terminal()
    # Nobody sets the event: an interrupt may end it at once, as nothing that took long would be lost.
    reporter = TerminalReporter(terminal, Event())
    with terminal.live():
        artifact = step.run(open_store(store), name, config, read, reporter)
    terminal.finished(artifact.stage, Result.of(artifact, store))
    terminal.log(f"filed under {step.stage.step.reference}/{name}")
    return artifact


def _needed(steps: Mapping[str, Step], names: Iterable[str], run: Run) -> list[str]:
    """Steps and those before them, each once, and after those that it reads."""
    order: dict[str, None] = {}
    for name in names:
        order |= dict.fromkeys([*_needed(steps, reads(steps, name, run), run), name])
    return list(order)


def _run(step: Step, run: Run, store: Store, read: Sequence[Artifact], terminal: Terminal) -> Artifact:
    config = pinned_config(run.store, run.name, getattr(run, step.name))
    with _stop_requested() as ending:
        return step.run(store, run.name, config, read, TerminalReporter(terminal, ending), run.expect)


def _resolved(store: Store, text: str, step: Step) -> Artifact:
    artifact = resolve(store, text)
    if artifact.kind != step.stage.kind:  # a model may come from elsewhere than train
        raise ValueError(f"{text} is a result of {artifact.stage}; one of {step.name} is needed")
    return artifact


@contextmanager
def _stop_requested() -> Generator[Event]:
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
