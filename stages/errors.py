"""The exceptions of this project; whether another try can help is a type.

    StageError
    ├── RetryableError     the same call may succeed later: a time-out, a reset, a store that is out of reach
    └── FinalError         the same call will fail again
        ├── DamagedError   stored bytes are not the bytes that were published
        └── Stopped        whoever runs the stage asked it to stop

A user's mistake (a wrong column, an unknown key) is a `ValueError`, never one of these.
"""


class StageError(Exception):
    """Root of the tree."""


class RetryableError(StageError):
    """Another try may succeed."""


class FinalError(StageError):
    """Another try will fail alike."""


class DamagedError(FinalError):
    """A stored file is not what its manifest says: the message names file, expected and found hash."""


class Stopped(FinalError):  # noqa: N818 -- it is no mistake of anybody's
    """The stage was asked to stop and did; what it had finished is kept as parts."""
