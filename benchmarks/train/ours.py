"""Our training process, measured: what sdmodel.train.run does, up to the last step that counts.

    python -m benchmarks.train.ours PLAN.json

The plan is a training's, with "report": where the times go, "task": the comparison's.
"""

import json
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
from sdmodel.train.loop import train
from sdmodel.train.process.command import PARENT_HOLDS_STDIN
from sdmodel.train.run import accelerator_of, config_of, end_with_parent, gauge_of, hasten, tell


class Metered(Stream):
    """A stream whose batches are timed."""

    meter: Meter

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """As `Stream`. Enough: all steps were measured."""
        return self.meter.batches(super().batches(images_seen))


def main(plan: dict[str, Any]) -> None:
    """Trains until the meter has enough."""
    config, folder = config_of(plan), Path(plan["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = accelerator_of(config)
    task = Task.from_json(plan["task"])
    meter = Meter(task, Path(plan["report"]))
    rank, world = accelerator.process_index, accelerator.num_processes
    tars = {name: Path(path) for name, path in plan["tars"].items()}
    index = read_index(Path(plan["index"]), tars, "train")
    if plan["latents"]:
        reader: Any = cached_reader(Path(plan["latents"]), index, config, lambda: None)  # pyright: ignore
    else:
        wait = accelerator.wait_for_everyone
        reader = decode_shared(index, config.size, folder / "cache", rank, world, wait, config.data)
    stream = Metered(reader, batch=config.batch, seed=config.seed, data=config.data, rank=rank, world=world)
    stream.meter = meter
    torch.manual_seed(config.seed)
    objective = NoiseObjective(task.place / "model", cached=bool(plan["latents"]))
    gauge = gauge_of(config, accelerator, objective, stream)
    hasten(objective, config, accelerator, gauge)
    with suppress(Enough):
        train(objective, stream, config, accelerator, folder, tell, gauge=gauge)
    meter.write()
    accelerator.end_training()


if __name__ == "__main__":
    if os.environ.get(PARENT_HOLDS_STDIN):
        end_with_parent()
    main(json.loads(Path(sys.argv[1]).read_text()))
