"""The machine that a study runs on, and how many trainings go well on it side by side."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from sdmodel.config.train import TrainConfig
from sdmodel.train.process.command import cores

MEMORY = 2 * 2**30
"""Bytes that one training on one core is allowed for; the largest seen was 1.8 GiB."""


def machine() -> str:
    """This machine in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{cores()} cores of {model or platform.processor() or platform.machine()}"


def lanes(trainings: Iterable[TrainConfig]) -> int:
    """How many of some trainings go side by side: as many as cores and memory allow for the largest of them.
    One that takes a GPU, or shares out the cores itself, has the machine for itself."""
    largest = max(
        cores() if config.device != "cpu" or not (config.processes and config.threads)
        else config.processes * config.threads
        for config in trainings
    )  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores() // largest, memory // (MEMORY * largest)))
