"""What a side's process measures of itself, the same on all sides: when batches are asked for and when they
come.

A step lasts from asking for its batch to asking for the next one; its first part is waiting for data. After
the warm steps a side takes its steps in turns with the others, so that what else the machine does meets all.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.train.task import Task

BEGAN = "BENCHMARK_BEGAN"
"""Environment variable: the time (seconds since 1970) at which the side's command was started."""
TURN, DONE = "turn", "done"
"""Named pipes in the folder of the report: a byte for each turn, one for each that ended."""


class Enough(Exception):  # noqa: N818 -- it is no error
    """All steps were measured."""


class Meter:
    """Times of the steps of one process; of several the first one takes the turns."""

    def __init__(self, task: Task, report: Path) -> None:
        """report: where `write` puts what was found."""
        self.task, self.report = task, report
        self.turns = os.environ.get("RANK", "0") == "0"
        self.start, self.first = 0.0, 0.0
        self.steps: list[float] = []
        self.waits: list[float] = []
        self.cpu: list[float] = []

    def batches(self, source: Iterator[Any]) -> Iterator[Any]:
        """The batches of `source`. Enough: all steps were measured."""
        task, began = self.task, float(os.environ[BEGAN])
        for step in range(task.warm + task.steps):
            counts = step >= task.warm
            if counts and (step - task.warm) % task.turn == 0:
                self._wait()
            asked, worked = time.perf_counter(), time.process_time()
            batch = next(source)
            came = time.perf_counter()
            self.start = self.start or time.time() - began
            yield batch
            self.first = self.first or time.time() - began
            if counts:
                self.steps.append(time.perf_counter() - asked)
                self.waits.append(came - asked)
                self.cpu.append(time.process_time() - worked)
        if self.turns:
            (self.report.parent / DONE).write_text(".")
        raise Enough

    def _wait(self) -> None:
        """Gives the turn back and waits for the next one."""
        if self.turns:
            (self.report.parent / DONE).write_text(".")
            (self.report.parent / TURN).read_text()

    def write(self) -> None:
        """The process that takes the turns tells what it found: {"start", "first": seconds from the command's
        start to the first step's begin and end, "steps", "waits", "cpu": seconds of each step that counts,
        "threads": its own}."""
        if not self.turns:
            return
        names = ("start", "first", "steps", "waits", "cpu")
        found = {name: getattr(self, name) for name in names} | {"threads": torch.get_num_threads()}
        self.report.write_text(json.dumps(found))
