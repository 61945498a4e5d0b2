"""Measures training against the logic of diffusers' script and a plain accelerate loop, on the CPU.

    python -m benchmarks.train [--pictures 512] [--turns 6] [--folder FOLDER]

All sides train the same small Stable Diffusion (model.py) on the same pictures at the same batch, rate and
precision, each in processes of its own, and take their steps in turns: what else the machine does meets all
alike. About six minutes on two cores. Writes benchmarks/results/train.json. Ends with status 1 where a goal
was missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import schema
from benchmarks.train.model import write_model
from benchmarks.train.rows import RESULT, rows
from benchmarks.train.sides import Side, Start, Times, cache, compile_modules, ours, peer
from benchmarks.train.task import Task, write_pictures


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=Task.pictures)
    parser.add_argument("--turns", type=int, default=Task.turns)
    parser.add_argument("--folder", type=Path, help="for what is made; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="train-") as temporary:
        task = Task(str(given.folder or temporary), pictures=given.pictures, turns=given.turns)
        write_pictures(task.place, task.pictures)
        write_model(task.place / "model", task.size)
        compile_modules(task.place / "bytecode")
        whole, stage = cache(task, task.place / "encode")
        print(f"encode: {whole:.1f} s, the stage alone {stage:.1f} s", flush=True)
        found = rows(task, measure(task, task.place / "encode" / "latents"), whole)
    schema.write(RESULT, found)
    return schema.report(found)


def measure(task: Task, latents: Path) -> dict[str, Times]:
    """All sides, by the names that rows.py knows."""
    two, runs = replace(task, processes=2), task.place / "runs"
    known: dict[str, Callable[[Path], Start]] = {
        "ours, cached": lambda folder: ours(task, folder, latents),
        "ours, uncached": lambda folder: ours(task, folder, None),
        "ours two, cached": lambda folder: ours(two, folder, latents),
        "ours two, uncached": lambda folder: ours(two, folder, None),
        "script": lambda folder: peer(task, folder, "script"),
        "script two": lambda folder: peer(two, folder, "script"),
        "script launched": lambda folder: peer(task, folder, "script", launcher=True),
        "plain": lambda folder: peer(task, folder, "plain"),
    }
    sides: dict[str, Side] = {}
    for name, start in known.items():
        folder = runs / name.replace(", ", "-").replace(" ", "-")
        sides[name] = Side(start(folder), folder)
        print(f"{name}: started", flush=True)
    for _ in range(task.turns):
        for side in sides.values():
            side.turn()
    times = {name: side.end() for name, side in sides.items()}
    for name, one in times.items():
        print(f"{name}: {one}", flush=True)
    return times


if __name__ == "__main__":
    sys.exit(main())
