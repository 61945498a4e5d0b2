"""What a training would take: measured by the loop itself, on random pictures or given ones."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sdmodel.config.learning import EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import read_index
from sdmodel.data.pixels import decode
from sdmodel.latents.cache import read_settings
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process import launch
from sdmodel.train.profile import random_latents, random_pictures, worker
from sdmodel.train.profile.measure import measure, measurement_job
from tests import frozen

SMALL = TrainConfig(
    images=10**6,
    batch=8,
    size=16,
    processes=1,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16)),
    optimizer=OptimizerConfig(warmup=64),
)


def test_random_pictures_are_a_dataset(tmp_path: Path):
    path, tars = random_pictures.write(tmp_path, 5, 24)
    index = read_index(path, tars, "train")
    assert len(index) == 5
    assert len({index.bytes_of(row) for row in range(5)}) == 5
    assert decode(index.bytes_of(4), 24).shape == (24, 24, 3)
    captions = {caption for row in index.captions for caption in row}
    assert len(captions) == 5 * random_pictures.CAPTIONS


class Clock:
    """Time that passes where a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow:
    """A stream whose batches take time."""

    uids = "of the stream"

    def __init__(self, clock: Clock, first: float, seconds: float) -> None:
        self.clock, self.first, self.seconds = clock, first, seconds

    def batches(self, images: int) -> Iterator[int]:
        while True:
            self.clock.now += self.seconds if images >= 3 else self.first
            yield images
            images += 1


def test_time_is_taken_after_the_first_batches(monkeypatch: pytest.MonkeyPatch):
    clock = Clock()
    monkeypatch.setattr(worker, "time", clock)
    source: Any = Slow(clock, 100.0, 0.25)
    timed = worker.Timed(source, 10.0, torch.device("cpu"))
    assert timed.uids == "of the stream"
    for number in timed_until_over(timed):
        clock.now += 0.75 if number >= worker.WARM else 50.0  # learning
    assert (timed.batches_seen, timed.seconds, timed.waited) == (10, 10.0, 2.5)


def timed_until_over(timed: worker.Timed) -> Iterator[Any]:
    with pytest.raises(worker.Enough):
        yield from timed.batches(0)


def test_parameters_are_counted_by_part_and_once():
    modules = nn.ModuleDict({"text": nn.Linear(3, 2), "network": nn.Linear(2, 2, bias=False)})
    modules["tied"] = modules["network"]
    modules["text"].requires_grad_(False)
    assert worker.parameters(modules) == {"text": 8, "network": 4}
    config = dataclasses.replace(SMALL, ema=EmaConfig(lengths=(0.05, 0.1)))
    assert worker.state_bytes(modules, config) == 4 * (12 + 4 * (1 + 2 + 3))


@pytest.mark.slow
def test_a_training_is_measured_and_nothing_is_left(tmp_path: Path):
    measurement = measure(measurement_job(SMALL, tmp_path, seconds=0.5))
    assert set(measurement.parameters) == {"text", "network"}
    assert measurement.learned == sum(measurement.parameters.values())
    assert measurement.flops > 2 * measurement.parameters["network"]
    assert measurement.images_per_second > 0
    assert 0 <= measurement.waiting < 1
    assert measurement.memory > measurement.state > 0
    assert measurement.processes == 1
    assert measurement.mfu
    assert measurement.mfu > 0
    assert not (tmp_path / "checkpoints").exists()


# The process that measures ends with its files open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_training_on_latents_is_measured_before_there_are_any(tmp_path: Path):
    encoders, data = tmp_path / "encoders", tmp_path / "data"
    frozen.autoencoder(encoders / "autoencoder")
    frozen.text_encoder(encoders)
    data.mkdir()
    path, tars = random_pictures.write(data, 32, SMALL.size)
    random_latents.write(encoders, path, SMALL, length=6)
    measurement = worker.measure(
        JobSpec(
            folder=tmp_path,
            index=path,
            tars={name: str(tar) for name, tar in tars.items()},
            config=SMALL,
            latents=encoders,
            seconds=0.2,
        )
    )
    assert set(measurement.parameters) == {"network"}  # frozen encoders are neither learned nor called
    assert measurement.images_per_second > 0
    assert read_settings(encoders).text_length == 6


def test_what_would_not_train_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a training's process says it; that it does is test_launch's."""
    program = "import json; print(json.dumps({'failed': 'size=18 is not divisible by 4', 'kind': 'mistake'}))"
    monkeypatch.setattr(launch, "command", lambda *rest: [sys.executable, "-c", program])
    with pytest.raises(ValueError, match=r"^size=18 is not divisible by"):
        measure(measurement_job(SMALL, tmp_path, seconds=0.5))


def test_it_leaves_off_when_it_is_asked_to(tmp_path: Path):
    with pytest.raises(launch.Interrupted, match="asked to stop"):
        measure(measurement_job(SMALL, tmp_path, seconds=600), lambda: (tmp_path / JOB).exists())


@pytest.mark.slow
@pytest.mark.parametrize(
    "pretrain",
    [
        PretrainConfig(contrastive=0.0, labels=1.0, columns=("shape", "colour")),
        PretrainConfig(contrastive=0.0, labels=1.0, clusters="clusters/one"),
        PretrainConfig(contrastive=0.0, masked=1.0, noise=0.5, flips=0.1),
    ],
)
def test_a_pretraining_is_measured_before_there_are_any_labels(pretrain: PretrainConfig, tmp_path: Path):
    validation = ValidationConfig(every=64)
    config = dataclasses.replace(SMALL, objective="text", pretrain=pretrain, validation=validation)
    assert measure(measurement_job(config, tmp_path, seconds=0.2)).images_per_second > 0
