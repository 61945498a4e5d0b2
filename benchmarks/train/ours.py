"""Our training process, measured: what sdmodel.train.run does, up to the last step that counts.

    python -m benchmarks.train.ours JOB.json

The job is a training's. Beside it lies task.json, the comparison's, and report.json, the times, will.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.train.meter import Enough, Meter
from benchmarks.train.objective import NoiseObjective
from benchmarks.train.task import Task
from sdmodel.data.batch import Batch
from sdmodel.data.decoded_cache import decode_shared
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.latents.reader import cached_reader
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.process.command import PARENT_HOLDS_STDIN
from sdmodel.train.process.messages import send
from sdmodel.train.run import accelerator_of, end_with_parent, gauge_of, trade_memory_for_speed


class Metered(Stream):
    """A stream whose batches are timed."""

    meter: Meter

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """As `Stream`. Enough: all steps were measured."""
        return self.meter.batches(super().batches(images_seen))


def main(path: Path) -> None:
    """Trains until the meter has enough."""
    job = JobSpec.read(path)
    config, folder = job.config, job.folder
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = accelerator_of(config)
    task = Task.read(path.with_name("task.json"))
    meter = Meter(task, path.with_name("report.json"))
    rank, world = accelerator.process_index, accelerator.num_processes
    index = read_index(job.index, job.tars, "train")
    if job.latents:
        reader: Any = cached_reader(job.latents, index, config, lambda: None)  # pyright: ignore
    else:
        wait = accelerator.wait_for_everyone
        reader = decode_shared(index, config.size, folder / "cache", rank, world, wait, config.data)
    stream = Metered(reader, batch=config.batch, seed=config.seed, data=config.data, rank=rank, world=world)
    stream.meter = meter
    torch.manual_seed(config.seed)
    objective = NoiseObjective(task.place / "model", cached=job.latents is not None)
    gauge = gauge_of(config, accelerator, objective, stream)
    trade_memory_for_speed(objective, config, accelerator, gauge, config.images)
    with suppress(Enough):
        train(objective, stream, config, accelerator, folder, send, gauge=gauge)
    meter.write()
    accelerator.end_training()


if __name__ == "__main__":
    if os.environ.get(PARENT_HOLDS_STDIN):
        end_with_parent()
    main(Path(sys.argv[1]))
