"""The measuring process, `python -m sdmodel.train.profile.worker JOB.json`: trains for the job's seconds.

It runs the loop itself, on the job's data, in as many processes as the training will have, and keeps
nothing. The main process sends {"measured": its `Measurement`} when its time is over and is ended then.
"""

import dataclasses
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.stream import Stream
from sdmodel.device import flushed_denormals
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.metrics import peak_memory
from sdmodel.train.prepare import prepare
from sdmodel.train.process.command import PARENT_HOLDS_STDIN
from sdmodel.train.process.messages import send
from sdmodel.train.profile.measurement import Measurement
from sdmodel.train.run import (
    accelerator_of,
    end_with_parent,
    exit_status,
    gauge_of,
    trade_memory_for_speed,
)

WARM = 3
"""Batches before the clock starts: the first ones compile, choose kernels and fill caches."""
ENDLESS = 10**12
"""Images: nothing ends, and nothing is saved, while it is measured."""
FLOAT = 4
"""Bytes of a weight."""
MOMENTA = 2
"""Of a learned weight at most, as AdamW has; Muon and Lion have one."""


class Enough(Exception):  # noqa: N818 -- it is no error
    """The time is over."""


class Timed:
    """A stream that takes the time of its batches and ends the training when it is over."""

    def __init__(self, stream: Stream, seconds: float, device: torch.device) -> None:
        self.stream, self.limit, self.device = stream, seconds, device
        self.batches_seen = 0
        self.seconds = 0.0
        self.waited = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """The stream's batches. Enough: so many seconds have passed since the first ones."""
        began, waited = 0.0, 0.0
        source = self.stream.batches(images_seen)
        for number in range(sys.maxsize):
            if number == WARM:
                self._sync()
                began, waited = time.perf_counter(), 0.0
            elif number > WARM and time.perf_counter() - began >= self.limit:
                self._sync()
                self.batches_seen, self.waited = number - WARM, waited
                self.seconds = time.perf_counter() - began
                raise Enough
            requested = time.perf_counter()
            batch = next(source)
            waited += time.perf_counter() - requested
            yield batch

    def _sync(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@flushed_denormals()
def measure(job: JobSpec) -> Measurement:
    """Trains for the job's seconds in this process, which is one of those that share the training."""
    folder = job.folder
    accelerator = accelerator_of(job.config)
    prepared = prepare(job, accelerator)
    objective, stream = prepared.objective, prepared.stream.of(job.config.size)
    config = dataclasses.replace(prepared.config, sizes=())
    gauge = gauge_of(config, accelerator, objective, stream)
    trade_memory_for_speed(objective, config, accelerator, gauge, config.images)
    # The others go on until they are ended: who left early would leave the main process waiting.
    limit = job.seconds if accelerator.is_main_process else math.inf
    timed = Timed(stream, limit, accelerator.device)
    endless = dataclasses.replace(config, images=ENDLESS, checkpoint_every=ENDLESS)
    with suppress(Enough):
        train(objective, timed, endless, accelerator, folder, lambda message: None)  # pyright: ignore
    speed = timed.batches_seen * config.batch / timed.seconds
    return Measurement(
        parameters=parameters(objective.modules),
        learned=sum(p.numel() for p in objective.modules.parameters() if p.requires_grad),
        flops=gauge.flops,
        images_per_second=speed,
        mfu=gauge.read(speed, 0.0, 0.0).get("mfu"),
        waiting=timed.waited / timed.seconds,
        memory=peak_memory(),
        state=state_bytes(objective.modules, config) // (accelerator.num_processes if config.fsdp else 1),
        processes=accelerator.num_processes,
        device=device_name(accelerator),
        seconds=timed.seconds,
    )


def parameters(modules: nn.Module) -> dict[str, int]:
    """Number of parameters by part; a parameter that two parts share counts for the first."""
    counts: dict[str, int] = {}
    for name, parameter in modules.named_parameters():
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def state_bytes(modules: nn.Module, config: TrainConfig) -> int:
    """Bytes, at most, of a training besides activations."""
    whole = sum(p.numel() for p in modules.parameters())
    learned = sum(p.numel() for p in modules.parameters() if p.requires_grad)
    return FLOAT * (whole + learned * (1 + MOMENTA + 1 + len(config.ema.lengths)))


def device_name(accelerator: Accelerator) -> str:
    """For people."""
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return f"CPU ({torch.get_num_threads()} threads a process)"


def main(job: JobSpec) -> int:
    """Measures a job; the exit status."""

    def act() -> int:
        send({"measured": dataclasses.asdict(measure(job))})
        return 0

    return exit_status(job, act)


if __name__ == "__main__":
    if os.environ.get(PARENT_HOLDS_STDIN):
        end_with_parent()
    sys.exit(main(JobSpec.read(Path(sys.argv[1]))))
