"""What a training would take, measured in processes like its own; for who wants to know before paying.

torch is not imported here.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sdmodel.config.learning import ValidationConfig
from sdmodel.config.text import columns_of
from sdmodel.config.train import TrainConfig
from sdmodel.train.process import failure, launch
from sdmodel.train.profile import random_latents, random_pictures

ROWS = (64, 512)
"""Random pictures, at least and at most; in between, as many as a batch."""


def measured(
    config: TrainConfig,
    folder: Path,
    *,
    index: Path | None = None,
    tars: Mapping[str, Path] | None = None,
    start: Path | None = None,
    texts: Sequence[Path | None] = (),
    labels: Path | None = None,
    latents: Path | None = None,
    encoders: Path | None = None,
    length: int = 0,
    seconds: float = 10.0,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Trains for some seconds without keeping anything, and says what was seen; see measure.py.

    Args:
        config: of the training.
        folder: existing, empty, to work in.
        index: of pictures to learn from; random ones where None.
        tars: name in the index -> path.
        start: a model folder to start from.
        texts: folders of pretrained text encoders, see `sdmodel.objectives`.
        labels: table of those pictures' labels; None: the index itself, as always of random pictures.
        latents: a cache of those pictures to learn from.
        encoders: folder of frozen encoders whose cache is to be learned from, and is not made yet; it becomes
            one of random numbers.
        length: tokens of a caption in that cache; 0 is as many as its text encoder knows places for.
        seconds: to measure, after the first batches.
        stopping: whether to leave off.

    ValueError: the config is no good. RuntimeError: it failed; says why, or ends with the last errors.
    launch.Interrupted: `stopping` ended it."""
    # The training itself is measured: nothing is validated, nothing ends early.
    config = replace(config, validation=ValidationConfig(), pretrain=replace(config.pretrain, flips=0.0))
    if index is None:
        config = replace(config, data=replace(config.data, weight=""))  # random pictures weigh all the same
        data = folder / "random"
        data.mkdir()
        rows, columns = min(max(config.batch, ROWS[0]), ROWS[1]), columns_of(config.pretrain)
        index, tars = random_pictures.write(data, rows, config.size, columns)
        labels = index
    if encoders and not latents:
        random_latents.write(encoders, index, config, length)
        latents = encoders
    plan = {
        "folder": str(folder),
        "index": str(index),
        "tars": {name: str(path) for name, path in (tars or {}).items()},
        "config": asdict(config),
        "start": str(start) if start else None,
        "latents": str(latents) if latents else None,
        "texts": [str(one) if one else None for one in texts],
        "labels": str(labels or index),
        "seconds": seconds,
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    began = time.monotonic()
    with (folder / "errors.txt").open("w+") as errors:
        child = launch.start(path, config, errors, "sdmodel.train.profile.worker")
        try:
            found = _found(child, stopping)
        finally:
            launch.end(child)
        if found:
            return {**found, "start_up_seconds": round(time.monotonic() - began - found["seconds"], 1)}
        if stopping():
            raise launch.Interrupted("the measurement was asked to stop")
        ended = launch.Ended(child.returncode)
        ended.read(errors)
    raise RuntimeError(launch.died(ended, config))


def _found(child: Any, stopping: Callable[[], bool]) -> dict[str, Any]:
    for line in launch.lines(child, stopping, patience=0):  # it has nothing to save
        message = launch.parsed(line)
        if "failed" in message:
            raise failure.raised(message)
        if "measured" in message:
            return message["measured"]  # whoever else still measures is ended
    return {}
