"""The exceptions of this project; whether another try can help is a type.

    StageError
    ├── RetryableError     the same call may succeed later: a time-out, a reset, a store that is out of reach
    └── FinalError         the same call will fail again
        ├── DamagedError   stored bytes are not the bytes that were published
        ├── NoSpaceError   a disk is full: somebody must make room
        └── Stopped        whoever runs the stage asked it to stop

A user's mistake (a wrong column, an unknown key, refused credentials) is a `ValueError`, never one of these.
"""

import errno
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


class Stopped(FinalError):  # noqa: N818 -- it is no mistake of anybody's
    """The stage was asked to stop and did; what it had finished is kept as parts."""


@contextmanager
def naming_full_disk(place: str) -> Generator[None]:
    """Turn the operating system's "no space left" into a NoSpaceError that names `place` and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpaceError(
                f"no space left for {place} ({error}); make room there (`sdflow gc` may find some) or choose "
                "another place, and start the same run again: it continues"
            ) from error
        raise
