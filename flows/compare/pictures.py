"""The pictures of the comparison, what can be known of them without word order, and where it ran."""

import os
import platform
from pathlib import Path

from flows.compare.cases import Comparison
from stages.demo.pairs import clean_folder
from stages.demo.two.captions import unseen
from stages.demo.two.ceiling import ceiling as ceiling_of


def pictures(store: str, rows: int, seed: int) -> Path:
    """The world of two in a folder beside a store that is one, else in the working directory."""
    beside = Path(store).resolve().parent if "://" not in store else Path.cwd()
    folder = beside / f"two-{rows}-{seed}"
    if not (folder / "metadata.csv").exists():
        aside = folder.with_name(f".{folder.name}")
        clean_folder(aside, rows, seed, world="two")
        aside.rename(folder)
    return folder


def ceiling(comparison: Comparison) -> float:
    """Share right that no reader of bags of words can pass on the captions that the oracle asks for."""
    return ceiling_of([caption for caption, _ in unseen(comparison.samples, 0)])


def machine() -> str:
    """This machine in words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores of {model or platform.processor() or platform.machine()}"
