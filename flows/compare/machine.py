"""The machine that a comparison runs on."""

import os
import platform
from pathlib import Path

from sdmodel.train.process.command import cores

MEMORY = 2 * 2**30
"""Bytes that one training of the comparison is allowed for; the largest seen was 1.8 GiB."""


def machine() -> str:
    """This machine in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{cores()} cores of {model or platform.processor() or platform.machine()}"


def lanes() -> int:
    """Trainings that go well side by side: one a core, as far as the machine's memory goes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores(), memory // MEMORY))
