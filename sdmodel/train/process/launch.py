"""Starts a training as processes of its own, passes on what it tells, and ends it when asked.

A subprocess, because a training must be ended at once, must not fill its parent's memory, and may be several
processes. torch is not imported here.

Asked to stop, a training saves a snapshot and ends with status 75. Where a process dies on the way (the
system took its memory, a GPU fell off), all are started again as long as each start brings a new snapshot:
resume is exact, so nobody can tell afterwards. Users' mistakes are not repeated.
"""

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sdmodel.config.train import TrainConfig
from sdmodel.train import trackers
from sdmodel.train.process import failure
from sdmodel.train.process.command import command, environment, process_count
from sdmodel.train.process.ranks import by_rank
from sdmodel.train.process.stopping import RESUME, STOP

SAVING = 30.0
"""Seconds that a training has to save when it is asked to stop."""
GRACE = 5.0
"""Seconds between asking the processes to end and killing them."""
LOOK = 0.2
"""Seconds between two looks at `stopping`."""
TAIL = 4000
"""Characters of the processes' errors that a failure shows."""
ENDED_BY_SIGTERM = (RESUME, -signal.SIGTERM, 128 + signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 -- it is no mistake of anybody's
    """Somebody else ended the training; starting it again goes on from its last snapshot."""


@dataclass
class Ended:
    """How one start of the processes ended."""

    status: int = 0
    """Of the process that was started, as subprocess tells it."""
    saved: bool = False
    """A new snapshot appeared."""
    stopped: bool = False
    """It said that it was asked to stop and saved."""
    failed: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it said of its failure; see failure.py."""
    errors: str = ""
    """The end of what the processes wrote on standard error."""
    first: str = ""
    """Which of several processes failed first, and how it ended."""

    def read(self, errors: TextIO) -> None:
        """Takes in the file of the processes' standard error."""
        errors.seek(0)
        text, self.first = by_rank(errors.read())
        self.errors = text[-TAIL:].strip()


def train(
    plan_path: Path,
    config: TrainConfig,
    *,
    on_progress: Callable[[dict[str, Any]], None],
    stopping: Callable[[], bool],
    on_snapshot: Callable[[int, Path], None] = lambda images, folder: None,
) -> bool:
    """Runs the plan (see run.py) to its end; True when it is done, False when `stopping` ended it.

    on_progress: what `Metrics.report` returns, or {"warning": text}.
    on_snapshot: (images seen, folder) of each complete snapshot as it appears; it stays until two newer ones
    are there. After `stopping` there may come one more.
    ValueError: the plan, or a choice in it, is no good.
    OSError: the disk is full (errno ENOSPC); snapshots stay.
    Interrupted: somebody else ended it.
    RuntimeError: the training failed; the message says why, or ends with its last errors."""
    trackers.check(config.trackers)
    folder = Path(json.loads(plan_path.read_text())["folder"])
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    while True:
        (folder / STOP).unlink(missing_ok=True)
        ended = attempt(plan_path, config, folder, on_progress, stopping, on_snapshot)
        if stopping() and ended.status:
            return False
        if ended.stopped or ended.status in ENDED_BY_SIGTERM:
            raise Interrupted("the training was ended from outside; it goes on from its last snapshot")
        if ended.failed:
            raise failure.raised(ended.failed)
        if ended.status == 0:
            return True
        words = died(ended, config)
        if not ended.saved:
            raise RuntimeError(words)
        on_progress({"warning": f"{words}\nit is started again from its last snapshot"})


def attempt(
    plan_path: Path,
    config: TrainConfig,
    folder: Path,
    on_progress: Callable[[dict[str, Any]], None],
    stopping: Callable[[], bool],
    on_snapshot: Callable[[int, Path], None],
) -> Ended:
    """Starts the processes once and passes on what they tell, until nothing of them runs any more."""
    ended = Ended()
    with (folder / "logs" / "errors.txt").open("w+") as errors:
        child = start(plan_path, config, errors)

        def ask() -> None:
            (folder / STOP).touch()  # what hears no signal sees the file
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)

        try:
            for line in lines(child, stopping, ask):
                message = parsed(line)
                if "snapshot" in message:
                    ended.saved = True
                    on_snapshot(message["images"], Path(message["snapshot"]))
                elif "stopped" in message:
                    ended.stopped = True
                elif "failed" in message:
                    ended.failed = ended.failed or message
                elif message:
                    on_progress(message)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
        finally:
            end(child)
        ended.status = child.returncode
        ended.read(errors)
    return ended


def start(
    plan_path: Path, config: TrainConfig, errors: TextIO | int, module: str = "sdmodel.train.run"
) -> "subprocess.Popen[bytes]":
    """Starts the processes of a plan; `lines` reads what they tell, `end` ends them."""
    processes = process_count(config)
    return subprocess.Popen(
        command(plan_path, config, processes, module),
        stdin=subprocess.PIPE,  # never written: when it closes, their parent was killed, and they end
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment(config, processes),
        start_new_session=True,  # so that its group can be ended
    )


def lines(
    child: "subprocess.Popen[bytes]",
    stopping: Callable[[], bool],
    ask: Callable[[], None] = lambda: None,
    patience: float = SAVING,
) -> Iterator[bytes]:
    """Yields the lines that the child writes until it ends.

    Once `stopping` is true it calls `ask`, and goes on for `patience` seconds at most, for as long as
    anything that the child has started holds its output open."""
    assert child.stdout
    pipe, rest, deadline = child.stdout.fileno(), b"", 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not deadline or time.monotonic() < deadline:
            if not deadline and stopping():
                ask()
                deadline = time.monotonic() + patience
            if not selector.select(LOOK):
                if not deadline and child.poll() is not None:  # what it left behind may hold the pipe open
                    return
                continue
            data = os.read(pipe, 1 << 16)
            if not data:
                return
            *whole, rest = (rest + data).split(b"\n")
            yield from whole


def parsed(line: bytes) -> dict[str, Any]:
    """The message in a line; empty for what some library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def died(ended: Ended, config: TrainConfig) -> str:
    """What is known of a process that said nothing of its end."""
    words = f"training ended with status {ended.status}"
    if ended.first:
        words += f", the first of its processes to fail was {ended.first}"
    if ended.status == -signal.SIGKILL or "SIGKILL" in f"{ended.first} {ended.errors}":
        words += (
            f". It was killed; if that was the system for want of memory: {failure.out_of_memory(config)}"
        )
    return f"{words}; its last errors:\n{ended.errors}"


def end(child: "subprocess.Popen[bytes]") -> None:
    """Ends the child and all that it started: asks, waits, kills. Nothing of it runs when this returns.

    Their standard input closes first: who hears no signal ends by that, with its whole process group."""
    if child.stdin:
        child.stdin.close()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
            child.wait(GRACE)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    child.wait()
    if child.stdout:
        with child.stdout, selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while selector.select(GRACE) and os.read(child.stdout.fileno(), 1 << 16):
                pass  # the pipe ends when the last process that holds it has ended
