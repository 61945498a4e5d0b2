"""The exceptions of this project; whether another try can help is a type.

    StageError
    ├── RetryableError     the same call may succeed later: a time-out, a reset, a store that is out of reach
    └── FinalError         the same call will fail again
        ├── DamagedError   stored bytes are not the bytes that were published
        ├── NoSpaceError   a disk is full: somebody must make room
        ├── DiskError      a disk does not read or write: somebody must look after it
        └── Stopped        whoever runs the stage asked it to stop

A user's mistake (a wrong column, an unknown key, refused credentials) is a `ValueError`, never one of these.
"""

import errno
import os
import re
from collections.abc import Generator
from contextlib import contextmanager


class StageError(Exception):
    """Root of the tree."""


class RetryableError(StageError):
    """Another try may succeed."""


class FinalError(StageError):
    """Another try will fail alike."""


class DamagedError(FinalError):
    """A stored file is not what its manifest says: the message names file, expected and found."""


class NoSpaceError(FinalError):
    """A disk, or a quota, is full. Nothing is half published; with room made, the same run continues."""


class DiskError(FinalError):
    """A disk does not read or write, or is mounted read-only. Nothing is half published."""


class Stopped(FinalError):  # noqa: N818 -- it is no mistake of anybody's
    """The stage was asked to stop and did; what it had finished is kept as parts."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room: on the disk, in a quota, below the largest size of a file."""

BROKEN = (errno.EIO, errno.EROFS, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO)
"""The disk fails, or the network that it hangs on; or it is mounted read-only, as kernels do after errors."""

LIBRARIES = ("duckdb", "_duckdb", "numpy", "pyarrow", "safetensors", "safetensors_rust", "PIL")
"""Packages whose own exceptions may be about a disk, and say so in words only."""

_OS_ERROR = re.compile(r"\(os error (\d{1,3})\)")
_SHORT_WRITE = re.compile(r"\d+ requested and (\d+) written")


def disk_fault(error: BaseException) -> int | None:
    """The number of the operating system (errno) of what a disk did wrong; None where it is about no disk.

    Libraries hide it: DuckDB tells the system's words only, or that its temporary files have reached the
    disk's room; Rust says "(os error 28)"; NumPy that so many values were requested and fewer written.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in (*FULL, *BROKEN) else None
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in LIBRARIES:
        return None
    words = str(error)
    if match := _OS_ERROR.search(words):
        return int(match[1]) if int(match[1]) in (*FULL, *BROKEN) else None
    if _SHORT_WRITE.search(words) or "max_temp_directory_size" in words:
        return errno.ENOSPC
    return next((number for number in (*FULL, *BROKEN) if os.strerror(number) in words), None)


@contextmanager
def naming_disk_faults(place: str) -> Generator[None]:
    """Turn what a full or broken disk makes of any call in the block into one line with place and remedy.

    Args:
        place: what lies there and its path: "store /data/store".

    Raises:
        NoSpaceError, DiskError: instead of the system's and the libraries' own exceptions.
    """
    try:
        yield
    except Exception as error:
        number = disk_fault(error)
        if number is None:
            raise
        words = " ".join(str(error).split())[:300]
        goes_on = "start the same run again: what is finished is kept, and it continues"
        if number in FULL:
            raise NoSpaceError(
                f"no space left for {place} ({words}); make room there (`sdflow gc` may find some) or choose "
                f"another place, and {goes_on}"
            ) from error
        raise DiskError(
            f"the disk fails for {place} ({words}); look after it (the system's log says more) or choose "
            f"another place, and {goes_on}"
        ) from error
