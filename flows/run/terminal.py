"""A run on the terminal: a line for each step that works or is done, and a table at the end."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows.step import Result
from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape, escape_lines
from stages.redaction import redact

EVERY = 10.0
"""Seconds between two lines of a step where the output is no terminal (a log, a pipe)."""
SOON = 3.0
"""Seconds of work after which its progress is shown."""


class Terminal:
    """Shows progress while a run lasts; steps report from their own threads."""

    def __init__(self, console: Console | None = None) -> None:
        """A terminal.

        Args:
            console: where to draw; standard error where None, so that output stays data.
        """
        # A log or a pipe has no width; rich would take 80, too narrow for the table at the end.
        width = None if sys.stderr.isatty() else 120
        self.console = console or Console(stderr=True, highlight=False, width=width)
        self.failed_step = ""
        self.has_finished = False
        """Whether a step has its result."""
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    @contextmanager
    def live(self) -> Generator[None]:
        """Draw bars while the block lasts, where the console is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.fields[name]:>8}", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[count]}", justify="right", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),  # notes can hold hosts' names
        )
        with Progress(*columns, console=self.console, transient=True) as self._live:
            try:
                yield
            finally:
                self._live, self._tasks = None, {}

    def log(self, text: str) -> None:
        """A line that stays, or several; whatever strangers wrote in it is harmless there."""
        self.console.print(Text(escape_lines(redact(text))))

    def progress(self, step: str, done: int, total: int, note: str) -> None:
        """How far a step is; see `stages.output.Reporter`."""
        count = f"{done:,}/{total:,}" if total else ""
        note = escape(note)
        if self._live is not None:
            if step not in self._tasks:
                self._tasks[step] = self._live.add_task(step, total=None, name=step, note="", count="")
            self._live.update(self._tasks[step], completed=done, total=total or None, note=note, count=count)
        elif time.monotonic() - self._said.get(step, -EVERY) >= EVERY:
            self._said[step] = time.monotonic()
            self.log(f"{step:>8}  {count}  {note}".rstrip())

    @contextmanager
    def late(self, step: str) -> Generator[Callable[[int, int], None]]:
        """What work calls with (done, total) while the block lasts; shown from SOON seconds on, as what is
        done sooner needs no bar."""
        began = time.monotonic()
        with self.live():

            def progress(done: int, total: int) -> None:
                if time.monotonic() - began >= SOON:
                    self.progress(step, done, total, "")

            yield progress

    def warn(self, step: str, words: str) -> None:
        """Something that a person should hear of."""
        self.log(f"{step:>8}  warning: {words}")

    def finished(self, step: str, result: Result) -> None:
        """A step has its result."""
        self._drop(step)
        self.has_finished = True
        if self.failed_step == step:  # tried again, and well
            self.failed_step = ""
        funnel = result.open().funnel
        cached = ", cached" if result.cached else ""
        self.log(f"{step:>8}  {funnel.rows_out:,} of {funnel.rows_in:,} rows{cached}")

    def failed(self, step: str, error: BaseException) -> None:
        """A step failed; the error itself is for whoever runs it."""
        self._drop(step)
        self.failed_step = self.failed_step or step
        words = str(error).split("\n", 1)[0] or type(error).__name__
        self.log(f"{step:>8}  failed: {escape(redact(words), 2000)}")

    def _drop(self, step: str) -> None:
        if self._live is not None and step in self._tasks:
            self._live.remove_task(self._tasks.pop(step))


def funnel_table(artifacts: Iterable[Artifact], cached: Mapping[str, bool]) -> Table:
    """Rows per stage and reason.

    Args:
        artifacts: in the order of the line.
        cached: by stage, whether it was found finished.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("stage", "rows in", "rows out", "reasons", "", "artifact"):
        table.add_column(head, justify="right" if head.startswith("rows") else "left", no_wrap=True)
    for artifact in artifacts:
        funnel = artifact.funnel
        table.add_row(
            artifact.stage,
            f"{funnel.rows_in:,}",
            f"{funnel.rows_out:,}",
            "\n".join(f"{rows:>6,} {reason}" for reason, rows in funnel.ranked_reasons()),
            "cached" if cached.get(artifact.stage) else "made",
            artifact.short_name,
        )
    return table
