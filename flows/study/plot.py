"""The plot of a study: a panel for each measure that is compared, a point with its interval for each cell."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.study.estimates import Estimate
from flows.study.page import MeasuredColumn, ranked

NOTHING = Estimate(math.nan, math.nan, math.nan, {})


def draw_plot(path: Path, columns: Sequence[MeasuredColumn]) -> None:
    """Write a PNG: a line for each row, the best on top.

    Args:
        path: of the PNG.
        columns: those of measures that are compared.
    """
    from matplotlib.figure import Figure

    rows = ranked(columns)[::-1]
    measures = list(dict.fromkeys(column.measure for column in columns))
    figure = Figure(figsize=(3 + 4.5 * len(measures), max(2.5, 1.5 + 0.45 * len(rows))), layout="constrained")
    panels: Any = figure.subplots(1, max(1, len(measures)), sharey=True, squeeze=False)[0]
    for panel, measure in zip(panels, measures, strict=False):
        own = [column for column in columns if column.measure == measure]
        for place, column in enumerate(own):
            cells = [column.cells.get(row, NOTHING) for row in rows]
            heights = [row + 0.2 * ((len(own) - 1) / 2 - place) for row in range(len(rows))]
            panel.errorbar(
                [cell.mean for cell in cells], heights, xerr=_errors(cells), fmt="o", color=f"C{place}",
                label=column.title, capsize=3, markersize=4,
            )  # fmt: skip
        if own[0].reference is not None:
            panel.axvline(own[0].reference, color="grey", linestyle="--", label=measure.reference)
        panel.set_xlabel(measure.name)
        panel.set_ylim(-0.5, len(rows) - 0.5)
    panels[0].set_yticks(range(len(rows)), rows)
    figure.legend(fontsize="small", loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=110)


def _errors(cells: Sequence[Estimate]) -> list[list[float]]:
    """How far intervals reach below and above means; not at all where there is none."""
    below = [0.0 if math.isnan(cell.low) else cell.mean - cell.low for cell in cells]
    above = [0.0 if math.isnan(cell.high) else cell.high - cell.mean for cell in cells]
    return [below, above]
