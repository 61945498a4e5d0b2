"""The pictures of a comparison, and what a reader without order can make of their captions."""

from pathlib import Path

from flows.compare.cases import Comparison
from stages.demo.pairs import clean_folder
from stages.demo.two.captions import unseen
from stages.demo.two.ceiling import ceilings as ceilings_of


def pictures(store: str, rows: int, seed: int) -> Path:
    """The world of two in a folder beside a store that is one, else in the working directory."""
    beside = Path(store).resolve().parent if "://" not in store else Path.cwd()
    folder = beside / f"two-{rows}-{seed}"
    if not (folder / "metadata.csv").exists():
        aside = folder.with_name(f".{folder.name}")
        clean_folder(aside, rows, seed, world="two")
        aside.rename(folder)
    return folder


def ceilings(comparison: Comparison) -> dict[str, float]:
    """By attribute, and for "all": shares right that no reader of bags of words can pass on the captions that
    the oracle asks for."""
    return ceilings_of([caption for caption, _ in unseen(comparison.samples, 0)])
