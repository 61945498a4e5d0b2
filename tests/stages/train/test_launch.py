"""What a training's processes say reaches the store's status."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdmodel.train.process import launch as process
from stages.artifacts.lease import Clock
from stages.artifacts.status import TrainingStatus, running
from stages.output import Output, Silent
from stages.store import Store, open_store
from stages.train.checkpoints import Checkpoints
from stages.train.launch import ElapsedTime, launch
from tests.stages import worlds

SAID: dict[str, Any] = {
    "images": 16, "total": 128, "loss": 0.5, "images_per_second": 8.0, "seconds": 2.0, "seconds_left": 14.0,
    "memory": 1e9,
}  # fmt: skip

EARLIER = ['{"images": 8, "loss": 1.5}']
"""What metrics.jsonl has of before."""


class Slow(Clock):
    """Ten seconds pass at every look."""

    now = 0.0

    def watch(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(work: Callable[[], None]) -> Callable[[float], None]:
        work()
        return lambda seconds: None

    monkeypatch.setattr("stages.artifacts.status_writer.in_background", begin)


def statuses(
    store: Store, monkeypatch: pytest.MonkeyPatch, *messages: dict[str, Any]
) -> list[TrainingStatus]:
    """What the store says after each message of a training that begins at 8 images."""
    seen: list[TrainingStatus] = []

    def train(job: Path, *, on_progress: Callable[[Any], None], **others: object) -> bool:
        (status,) = running(store)
        assert (status.done, status.total, status.unit, status.training) == (8, 128, "images", None)
        for message in messages:
            on_progress(message)
            (status,) = running(store)
            assert (status.done, status.total, status.unit) == (message["images"], 128, "images")
            assert status.training is not None
            seen.append(status.training)
        return True

    monkeypatch.setattr(process, "train", train)
    out = Output(store, "train", 1, {}, "ab" * 32, Silent(), "birds", Slow())
    config = worlds.changed(images=128)
    launch(Path("job"), config, out, Checkpoints.__new__(Checkpoints), 8, ElapsedTime(0.0), EARLIER)
    out.close()
    return seen


def test_losses_and_speed_are_in_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = {**SAID, "images": 32, "loss": 0.25, "seconds_left": 12.0}
    seen = statuses(open_store(str(tmp_path)), monkeypatch, {**SAID, "validation": 0.75}, later)
    assert seen == [
        TrainingStatus(
            {"loss": 0.5, "validation": 0.75},
            8.0,
            14.0,
            {"loss": ((8, 1.5), (16, 0.5)), "validation": ((16, 0.75),)},
        ),
        TrainingStatus(
            {"loss": 0.25, "validation": 0.75},
            8.0,
            12.0,
            {"loss": ((8, 1.5), (16, 0.5), (32, 0.25)), "validation": ((16, 0.75),)},
        ),
    ], "the last validation stands until there is another"


def test_a_loss_that_is_no_number_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = statuses(open_store(str(tmp_path)), monkeypatch, {**SAID, "loss": float("nan")})
    assert seen.losses == {"loss": None}
