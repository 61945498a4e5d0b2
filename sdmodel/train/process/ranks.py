"""Starts the ranks of a training, `python -m sdmodel.train.process.ranks N FOLDER MODULE ARGUMENT...`.

torch's own launcher (torch.distributed.run, which accelerate's starts, too) is not used: its rendezvous
listens on all interfaces, shows its keys to whoever asks, and unpickles what a stranger writes there, so that
whoever reaches the machine runs code on it. Here the ranks, all on this machine, meet in a file, in a folder
that nobody else can enter (see rendezvous.py), and this process listens nowhere. torch is not imported.

A rank that fails ends the others, which would wait for it in vain. The last line on standard error says which
it was; each line that a rank writes there begins with its number.
"""

import ctypes
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sdmodel.train.process.stopping import RESUME

RENDEZVOUS = "SDMODEL_RENDEZVOUS"
"""Environment variable: the file that the ranks meet in."""
LAUNCHER = "SDMODEL_LAUNCHER"
"""Environment variable: the process that started them."""
PR_SET_PDEATHSIG = 1
"""Linux's prctl: the signal that a process is sent when its parent has died."""
GRACE = 5.0
"""Seconds between asking the other ranks to end and killing them."""
TAIL = 1200
"""Characters of each rank's errors that `by_rank` shows."""
FIRST = "The first of the ranks to fail was "
"""How the line begins that says which rank failed; see `by_rank`."""


class Ranks:
    """The processes of one training."""

    def __init__(self, count: int, file: Path, program: Sequence[str]) -> None:
        """Starts them.

        file: what they meet in; not there yet, in a folder of this user's alone.
        program: the command line of each."""
        self.children: list[subprocess.Popen[bytes]] = []
        self._ends: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._copies: list[threading.Thread] = []
        world = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        shared = {**os.environ, **world, RENDEZVOUS: str(file), LAUNCHER: str(os.getpid())}
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            self.children.append(subprocess.Popen(program, env={**shared, **place}, stderr=subprocess.PIPE))
            self._copies.append(_thread(self._copy, rank))
            _thread(self._watch, rank)

    def send(self, sign: int) -> None:
        """Sends a signal to all that still run."""
        for child in self.children:
            with suppress(ProcessLookupError):
                child.send_signal(sign)

    def wait(self) -> int:
        """Waits until all have ended, and ends the others where one fails.

        Returns the status of the one that failed first (128 and the number of the signal that ended it);
        where none failed 75 if they were asked to stop, else 0."""
        failed: int | None = None
        for _ in self.children:
            rank = self._ends.get()
            if failed is None and self.children[rank].returncode not in (0, RESUME):
                failed = rank
                self.send(signal.SIGTERM)
                late = threading.Timer(GRACE, self.send, (signal.SIGKILL,))
                late.daemon = True
                late.start()
        for copy in self._copies:
            copy.join(GRACE)  # what a rank has started may hold its pipe open
        statuses = [child.returncode for child in self.children]
        if failed is None:
            return RESUME if RESUME in statuses else 0
        status = statuses[failed]
        manner = f"status {status}" if status > 0 else signal.Signals(-status).name
        _write(f"{FIRST}{failed}, with {manner}.\n".encode())
        return status if status > 0 else 128 - status

    def _watch(self, rank: int) -> None:
        self.children[rank].wait()
        self._ends.put(rank)

    def _copy(self, rank: int) -> None:
        pipe = self.children[rank].stderr
        assert pipe
        for line in pipe:
            _write(_mark(rank).encode() + line.removesuffix(b"\n") + b"\n")


def end_with_launcher() -> None:
    """Has the system kill this rank when the process that started it dies (on Linux); at once if it has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[LAUNCHER]):
        os.kill(os.getpid(), signal.SIGKILL)


def by_rank(errors: str) -> tuple[str, str]:
    """(the end of what each rank wrote on standard error, beginning with the one that failed first; which one
    that was and how it ended); (errors, "") where no rank failed, or there are none."""
    before, separator, verdict = errors.rpartition(FIRST)
    number = verdict.partition(",")[0]
    if not separator or not number.isdecimal():
        return errors, ""
    lines: dict[str, list[str]] = {number: []}
    for line in before.splitlines():
        rank, bracket, _ = line.removeprefix("[").partition("] ")
        lines.setdefault(rank if bracket and rank.isdecimal() else "", []).append(line)
    ends = ["\n".join(its)[-TAIL:] for its in lines.values() if its]
    return "\n".join(ends), f"rank {verdict.strip().removesuffix('.')}"


def _mark(rank: int) -> str:
    return f"[{rank}] "


def _write(data: bytes) -> None:
    with suppress(OSError):  # nobody reads it any more
        os.write(2, data)


def _thread(act: object, rank: int) -> threading.Thread:
    thread = threading.Thread(target=act, args=(rank,), daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def main(arguments: Sequence[str]) -> int:
    """Starts the ranks, passes SIGTERM on to them, and returns their status when all have ended."""
    count, folder, module, *rest = arguments
    with tempfile.TemporaryDirectory(prefix=".ranks-", dir=folder) as private:  # mode 0700
        ranks = Ranks(int(count), Path(private) / "rendezvous", [sys.executable, "-m", module, *rest])

        def pass_on(number: int, frame: FrameType | None) -> None:
            ranks.send(number)

        signal.signal(signal.SIGTERM, pass_on)
        try:
            return ranks.wait()
        finally:
            ranks.send(signal.SIGKILL)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python -m sdmodel.train.process.ranks N FOLDER MODULE ARGUMENT...")
    sys.exit(main(sys.argv[1:]))
