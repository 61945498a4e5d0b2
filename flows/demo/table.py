"""The demo's figures as tables on the terminal."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.run.terminal import funnel_table
from stages.artifacts.artifact import Artifact

BARS = "▁▂▃▄▅▆▇█"


def show(
    figures: Mapping[str, Any],
    artifacts: Mapping[str, Artifact],
    cached: Mapping[str, bool],
    console: Console,
) -> None:
    """Print rows per stage and reason, defects caught, the training curve, what the oracle read, and where
    the grid is.

    Args:
        figures: of `figures`.
        artifacts: of the run, by stage.
        cached: by stage, whether it was found finished.
        console: where to.
    """
    console.print(funnel_table(artifacts.values(), cached))
    console.print()
    console.print(_defects(figures["defects"]))
    wrong = figures["good_dropped"]
    console.print(f"good pictures taken for copies: {wrong['dropped']} of {wrong['of']:,}")
    console.print()
    losses = [
        json.loads(line)["loss"] for line in artifacts["train"].read("metrics.jsonl").decode().splitlines()
    ]
    speed = figures["images_per_second"]
    console.print(f"training loss {losses[0]:.3f} {curve(losses)} {losses[-1]:.3f}   {speed:.0f} images/s")
    loss = figures["validation"]
    console.print(
        f"validation MSE {loss['mse']:.4f}, R2 {loss['r2']:.3f}; with captions of other images "
        f"{loss['mse_shuffled']:.4f}"
    )
    if figures["oracle"]:
        words = ", ".join(
            f"{name} {share:.3f}" for name, share in figures["oracle"].items() if name != "samples"
        )
        console.print(f"oracle, {figures['oracle']['samples']} samples of unseen captions: {words}")
    if figures["clip"]:
        recall = figures["clip"]["r_at_1_of_64"]
        console.print(f"the CLIP that scored: recall at 1 of 64 clean pairs {recall:.3f}")
    console.print(f"\nsample grid: {figures['grid']}", soft_wrap=True, markup=False)
    console.print(f"{figures['seconds']:.0f} seconds in all")


def curve(values: Sequence[float], width: int = 48) -> str:
    """A line of bars for a falling curve, on a scale from the least to the median of the first few values."""
    width = min(width, len(values))
    chosen = [values[index * len(values) // width] for index in range(width)]
    low, high = min(chosen), sorted(chosen[:5])[len(chosen[:5]) // 2]
    span = max(high - low, 1e-12)
    return "".join(BARS[min(7, max(0, round(7 * (value - low) / span)))] for value in chosen)


def _defects(defects: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("planted defect")
    table.add_column("should be")
    for head in ("planted", "caught", "missed", "recall", "precision"):
        table.add_column(head, justify="right")
    for name, account in defects.items():
        missed = account["planted"] - account["caught"]
        shares = [
            f"{account[key]:.3f}" if account[key] is not None else "" for key in ("recall", "precision")
        ]
        cells = name, account["outcome"]
        table.add_row(*cells, f"{account['planted']:,}", f"{account['caught']:,}", f"{missed:,}", *shares)
    return table
