"""How a training's process reports what ended it, so that people read one line with a remedy, not a
traceback.

The message crosses to the launching process as JSON: `message_of` makes it, `exception_of` turns it back into
an exception. What neither knows stays a traceback on standard error.
"""

import errno
import traceback
from pathlib import Path

from sdmodel.config.train import TrainConfig
from sdmodel.train.process.messages import FailureMessage

HERE = Path(__file__).parents[2]
LONGEST = 3000
"""Characters of a message: lines of several processes stay whole in a pipe below 4096 bytes."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def message_of(error: Exception, config: TrainConfig) -> FailureMessage | None:
    """{"failed": text, "kind": "mistake", "space" or "other"}, or None for what nobody foresaw.

    A ValueError counts as a user's mistake where our own code raised it."""
    if is_out_of_memory(error):
        return _message(out_of_memory(config, str(error)), "other")
    if isinstance(error, FloatingPointError):
        return _message(str(error), "other")
    if isinstance(error, OSError) and (error.errno in NO_SPACE or "os error 28" in str(error)):
        return _message(
            f"{error}; the checkpoints before stay, and the same command goes on from them", "space"
        )
    if isinstance(error, ValueError) and _ours(error):
        return _message(str(error), "mistake")
    return None


def exception_of(message: FailureMessage) -> Exception:
    """The exception that the launching process raises: ValueError for a mistake, OSError (ENOSPC) for a full
    disk, else RuntimeError."""
    text = message["failed"]
    if message["kind"] == "mistake":
        return ValueError(text)
    return OSError(errno.ENOSPC, text) if message["kind"] == "space" else RuntimeError(text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the GPU or of the machine was not enough.

    torch has a type for the one (known by its name, so that torch is not imported here) and words for the
    other."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in text)
    )


def out_of_memory(config: TrainConfig, text: str = "") -> str:
    """What to do about it: first what changes no result."""
    first = text.strip().split("\n", 1)[0][:300]
    remedies: list[str] = []
    if not config.whole_batch:
        remedies.append(f"train.accumulate={2 * max(1, config.accumulate)} (smaller parts, the same result)")
    if not config.activation_checkpointing:
        remedies.append("train.activation_checkpointing=true (slower, the same result)")
    remedies.append(f"a smaller train.batch (now {config.batch}) or train.size (now {config.size})")
    return f"the training is out of memory; set {', or '.join(remedies)}" + (f" [{first}]" if first else "")


def _message(text: str, kind: str) -> FailureMessage:
    return {"failed": text[:LONGEST], "kind": kind}


def _ours(error: Exception) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and HERE in Path(frames[-1].filename).parents
