"""What a side's process measures of itself, the same on all sides: when batches are asked for and when they
come.

A step lasts from asking for its batch to asking for the next one; its first part is waiting for data.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

BEGAN = "BENCHMARK_BEGAN"
"""Environment variable: the time (seconds since 1970) at which the side's command was started."""


class Enough(Exception):  # noqa: N818 -- it is no error
    """All steps were measured."""


class Meter:
    """Times of the steps of one process."""

    def __init__(self, steps: int, report: Path) -> None:
        """steps: to measure, after which `Enough` is raised; report: where `write` puts what was found."""
        self.steps, self.report = steps, report
        self.asked: list[float] = []
        self.came: list[float] = []

    def batches(self, source: Iterator[Any]) -> Iterator[Any]:
        """The batches of `source`. Enough: the step after the last one to be measured begins."""
        while True:
            self.asked.append(time.time())
            if len(self.asked) > self.steps:
                raise Enough
            batch = next(source)
            self.came.append(time.time())
            yield batch

    def write(self) -> None:
        """Tells what was found: {"start", "first": seconds from the command's start to the first step's begin
        and end, "steps", "waits": seconds of each step, "threads": of this process}."""
        began = float(os.environ[BEGAN])
        pairs = zip(self.asked, self.came, strict=False)
        found = {
            "start": self.came[0] - began,
            "first": self.asked[1] - began,
            "steps": [then - now for now, then in zip(self.asked, self.asked[1:], strict=False)],
            "waits": [came - asked for asked, came in pairs],
            "threads": torch.get_num_threads(),
        }
        self.report.write_text(json.dumps(found))
