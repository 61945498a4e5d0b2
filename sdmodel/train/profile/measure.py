"""What a training would take, measured in processes like its own; for who wants to know before paying.

The processes are worker.py's. torch is not imported here.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sdmodel.config.learning import ValidationConfig
from sdmodel.config.text import columns_of
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.process import failure, launch
from sdmodel.train.process.messages import parse
from sdmodel.train.profile import random_latents, random_pictures
from sdmodel.train.profile.measurement import Measurement

ROWS = (64, 512)
"""Random pictures, at least and at most; in between, as many as a batch."""


def measurement_job(
    config: TrainConfig,
    folder: Path,
    *,
    index: Path | None = None,
    tars: Mapping[str, Path] | None = None,
    start: Path | None = None,
    texts: Sequence[Path | None] = (),
    encoder: Path | None = None,
    labels: Path | None = None,
    latents: Path | None = None,
    encoders: Path | None = None,
    length: int = 0,
    seconds: float = 10.0,
) -> JobSpec:
    """A job to `measure`, with random data where there is none yet.

    Args:
        config: of the training; it is measured itself, without validation and without an early end, and of
            sizes in stages at the last.
        folder: existing, empty, to work in.
        index: of pictures to learn from; random ones where None.
        tars: name in the index -> path.
        start: a model folder to start from.
        texts: folders of pretrained text encoders, see `JobSpec.texts`.
        encoder: folder of the frozen image encoder that pictures are seen by.
        labels: table of those pictures' labels; None: the index itself, as always of random pictures.
        latents: a cache of those pictures to learn from.
        encoders: folder of frozen encoders whose cache is to be learned from, and is not made yet; it becomes
            one of random numbers.
        length: tokens of a caption in that cache; 0 is as many as its text encoder knows places for.
        seconds: to measure, after the first batches.
    """
    config = replace(config, validation=ValidationConfig(), pretrain=replace(config.pretrain, flips=0.0))
    if index is None:
        config = replace(config, data=replace(config.data, weight=""))  # random pictures weigh all the same
        data = folder / "random"
        data.mkdir()
        rows = min(max(config.batch, ROWS[0]), ROWS[1])
        columns = {*columns_of(config.pretrain), *config.selfsupervised.columns}
        index, tars = random_pictures.write(data, rows, config.size, sorted(columns))
        labels = index
    if encoders and not latents:
        random_latents.write(encoders, index, config, length)
        latents = encoders
    return JobSpec(
        folder=folder,
        index=index,
        tars={name: str(path) for name, path in (tars or {}).items()},
        config=config,
        start=start,
        latents=latents,
        texts=tuple(texts),
        encoder=encoder,
        labels=labels or index,
        seconds=seconds,
    )


def measure(job: JobSpec, stopping: Callable[[], bool] = lambda: False) -> Measurement:
    """Trains for the job's seconds without keeping anything, and returns what was measured.

    stopping: whether to leave off.
    ValueError: the config is no good. RuntimeError: it failed; says why, or ends with the last errors.
    launch.Interrupted: `stopping` ended it."""
    path = job.write(job.folder / JOB)
    began = time.monotonic()
    with (job.folder / "errors.txt").open("w+") as errors:
        child = launch.start(path, job.config, errors, "sdmodel.train.profile.worker")
        try:
            measurement = _measurement(child, stopping)
        finally:
            launch.end(child)
        if measurement:
            start_up = time.monotonic() - began - measurement.seconds
            return replace(measurement, start_up_seconds=round(start_up, 1))
        if stopping():
            raise launch.Interrupted("the measurement was asked to stop")
        ended = launch.Ended(child.returncode)
        ended.read(errors)
    raise RuntimeError(launch.died(ended, job.config))


def _measurement(child: "subprocess.Popen[bytes]", stopping: Callable[[], bool]) -> Measurement | None:
    for line in launch.lines(child, stopping, patience=0):  # it has nothing to save
        message = parse(line)
        if message and "failed" in message:
            raise failure.exception_of(message)
        if message and "measured" in message:
            return Measurement(**message["measured"])  # the processes that still measure are ended
    return None
