"""Starts a training as processes of its own, passes on their messages, and ends it when asked.

A subprocess, because a training must be ended at once, must not fill its parent's memory, and may be several
processes. torch is not imported here.

Asked to stop, a training saves a checkpoint and ends with status 75. Where a process dies on the way (the
system took its memory, a GPU fell off), all are started again as long as each start brings a new checkpoint:
resume is exact, so nothing shows it afterwards. Users' mistakes are not repeated.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sdmodel.config.train import TrainConfig
from sdmodel.train import trackers
from sdmodel.train.job import JobSpec
from sdmodel.train.process import failure
from sdmodel.train.process.command import command, environment, process_count
from sdmodel.train.process.messages import FailureMessage, Progress, parse
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
    """Somebody else ended the training; starting it again goes on from its last checkpoint."""


@dataclass
class Ended:
    """How one start of the processes ended."""

    status: int = 0
    """Of the process that was started, as of subprocess."""
    saved: bool = False
    """A new checkpoint appeared."""
    stopped: bool = False
    """It was asked to stop and saved."""
    failed: FailureMessage | None = None
    """Its message of a failure, if it sent one; see failure.py."""
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
    job_path: Path,
    *,
    on_progress: Callable[[Progress], None],
    on_warning: Callable[[str], None],
    stopping: Callable[[], bool],
    on_checkpoint: Callable[[int, Path], None] = lambda images, folder: None,
) -> bool:
    """Runs the job in a file to its end; True when it is done, False when `stopping` ended it.

    on_checkpoint: (images seen, folder) of each complete checkpoint as it appears; it stays until two newer
    ones are there. After `stopping` there may come one more.
    ValueError: the job, or a choice in it, is no good.
    OSError: the disk is full (errno ENOSPC); checkpoints stay.
    Interrupted: somebody else ended it.
    RuntimeError: the training failed; the message says why, or ends with its last errors."""
    job = JobSpec.read(job_path)
    trackers.check(job.config.trackers)
    (job.folder / "logs").mkdir(parents=True, exist_ok=True)
    while True:
        (job.folder / STOP).unlink(missing_ok=True)
        ended = attempt(job_path, job, on_progress, on_warning, stopping, on_checkpoint)
        if stopping() and ended.status:
            return False
        if ended.stopped or ended.status in ENDED_BY_SIGTERM:
            raise Interrupted("the training was ended from outside; it goes on from its last checkpoint")
        if ended.failed:
            raise failure.exception_of(ended.failed)
        if ended.status == 0:
            return True
        error = died(ended, job.config)
        if not ended.saved:
            raise RuntimeError(error)
        on_warning(f"{error}\nit is started again from its last checkpoint")


def attempt(
    job_path: Path,
    job: JobSpec,
    on_progress: Callable[[Progress], None],
    on_warning: Callable[[str], None],
    stopping: Callable[[], bool],
    on_checkpoint: Callable[[int, Path], None],
) -> Ended:
    """Starts the processes once and passes on their messages, until nothing of them runs any more."""
    ended = Ended()
    with (job.folder / "logs" / "errors.txt").open("w+") as errors:
        child = start(job_path, job.config, errors)

        def ask() -> None:
            (job.folder / STOP).touch()  # what hears no signal sees the file
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)

        try:
            for line in lines(child, stopping, ask):
                message = parse(line)
                if message is None:
                    continue
                if "checkpoint" in message:
                    ended.saved = True
                    on_checkpoint(message["images"], Path(message["checkpoint"]))
                elif "stopped" in message:
                    ended.stopped = True
                elif "failed" in message:
                    ended.failed = ended.failed or message
                elif "warning" in message:
                    on_warning(message["warning"])
                elif "images" in message:
                    on_progress(message)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
        finally:
            end(child)
        ended.status = child.returncode
        ended.read(errors)
    return ended


def start(
    job_path: Path, config: TrainConfig, errors: TextIO | int, module: str = "sdmodel.train.run"
) -> "subprocess.Popen[bytes]":
    """Starts the processes of a job; `lines` reads what they write, `end` ends them."""
    processes = process_count(config)
    return subprocess.Popen(
        command(job_path, processes, module),
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


def died(ended: Ended, config: TrainConfig) -> str:
    """What is known of a process that sent no message of its end."""
    text = f"training ended with status {ended.status}"
    if ended.first:
        text += f", the first of its processes to fail was {ended.first}"
    if ended.status == -signal.SIGKILL or "SIGKILL" in f"{ended.first} {ended.errors}":
        text += f". It was killed; if that was the system for want of memory: {failure.out_of_memory(config)}"
    return f"{text}; its last errors:\n{ended.errors}"


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
