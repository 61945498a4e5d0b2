"""The wish that a training save and end: SIGTERM, or a file named `stop` in the training's folder."""

import signal
import time
from pathlib import Path
from types import FrameType

STOP = "stop"
"""Name of the file."""
RESUME = 75
"""Exit status of a training that was asked to stop and has saved (EX_TEMPFAIL): the same command goes on."""
LOOK = 0.5
"""Seconds between two looks for the file."""


class Stopping:
    """What the loop asks at each batch; True once and for all after a signal, or when the file is there."""

    def __init__(self, folder: Path) -> None:
        """Looks for the file in `folder`; signals count after `listen`."""
        self.file = folder / STOP
        self._asked = False
        self._next = 0.0

    def listen(self) -> None:
        """From now on SIGTERM asks to stop, where it would end the process at once. For the main thread."""
        signal.signal(signal.SIGTERM, self._hear)

    def __call__(self) -> bool:
        if not self._asked and time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK
            self._asked = self.file.exists()
        return self._asked

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
