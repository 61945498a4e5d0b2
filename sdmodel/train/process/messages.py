"""Messages of a training's processes to whoever launched them: JSON, a line each, on standard output."""

import json
from typing import Any, NotRequired, TypedDict, cast


class Utilisation(TypedDict):
    """What the speed of a training is worth."""

    memory: float
    """Peak bytes of the main process."""
    mfu: NotRequired[float]
    """Model FLOPs utilisation, the share of the devices' peak, [0, 1]; where that is known."""
    cost: NotRequired[float]
    """Until now; where a price is given."""
    cost_left: NotRequired[float]


class Progress(Utilisation):
    """How far a training is."""

    images: int
    """Seen until now."""
    total: int
    """To be seen in all."""
    loss: float
    images_per_second: float
    """Of all processes, lately."""
    seconds: float
    """That this start of the processes has taken."""
    seconds_left: float
    size: NotRequired[int]
    """Pixels to a side of what is seen; of a training whose sizes follow each other."""
    validation: NotRequired[float]
    """Error of the averaged weights, where it was measured."""


class WarningMessage(TypedDict):
    """Something is amiss."""

    warning: str


class CheckpointMessage(TypedDict):
    """A new checkpoint is complete."""

    checkpoint: str
    """Its folder."""
    images: int


class StoppedMessage(TypedDict):
    """The training was asked to stop, and has saved."""

    stopped: bool


class FailureMessage(TypedDict):
    """The training failed for a reason that people can act upon; see failure.py."""

    failed: str
    kind: str


class MeasurementMessage(TypedDict):
    """The time of a measurement is over; see sdmodel/train/profile."""

    measured: dict[str, Any]


Message = Progress | WarningMessage | CheckpointMessage | StoppedMessage | FailureMessage | MeasurementMessage


def send(message: Message) -> None:
    """Writes a message, in one piece: other processes write there, too."""
    print(json.dumps(message) + "\n", end="", flush=True)  # noqa: T201 - the protocol with launch.py


def parse(line: bytes) -> Message | None:
    """The message in a line; None for what some library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return cast(Message, message) if isinstance(message, dict) and message else None
