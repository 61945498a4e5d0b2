"""Opening files that others made: regular files alone, so that no open or read waits for somebody else.

Opening a FIFO waits until somebody writes to it, reading a device may never end, and opening one can even do
something (a tape rewinds). All three can lie in a folder of pictures, or stand in a metadata file.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NotRegularFileError(OSError):
    """A path that leads to a FIFO, a socket, a device or a folder."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def open_regular(path: Path) -> BufferedReader:
    """A regular file, open for reading bytes; the call never blocks on what lies there.

    Symbolic links are followed. What is opened is judged, not what was at the path a moment before.

    Raises:
        NotRegularFileError: it is something else; says what.
        OSError: it is not there, or may not be read.
    """
    _check(path, path.stat().st_mode)  # before opening, which devices can notice
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def kind_of(path: Path) -> str:
    """What a path leads to where that is no regular file, as "a FIFO"; "" for a regular file.

    Raises:
        OSError: it is not there, or leads nowhere.
    """
    return _kind(path.stat().st_mode)


def _kind(mode: int) -> str:
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no file")


def _check(path: Path, mode: int) -> None:
    if kind := _kind(mode):
        raise NotRegularFileError(errno.EINVAL, f"it is {kind}, no regular file", str(path))
