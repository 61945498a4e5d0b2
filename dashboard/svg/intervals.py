"""Intervals as SVG: a line for each arm of a study, a point at its mean, a bar to both ends of its interval.

Colours are classes of the style sheet, which has them for light and dark.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from dashboard.page import foreign
from dashboard.svg.curves import Axis, short_number
from stages.artifacts.study import StudyCell, StudyTable

WIDTH = 640
LEFT, RIGHT, TOP, BOTTOM = 190, 16, 10, 40
"""Pixels around the plot: names of rows, and the axis with its name."""
ROW = 30
"""Height of a row."""
LETTERS = 18
"""Of a row's name; the table beside it has all of them."""
CAP = 5
"""Half the height of an interval's ends."""


def draw_intervals(table: StudyTable, column: int, rows: int) -> Markup:
    """A column of a table of means; "" where no row has a mean.

    Args:
        table: of a study.
        column: place of the column, from 0.
        rows: of it, the first so many are drawn.
    """
    measure = table.columns[column]
    drawn = [(row.title, cell) for row in table.rows[:rows] if (cell := row.cells[column]) is not None]
    if not drawn:
        return Markup("")
    known = [] if measure.reference is None else [measure.reference]
    x = Axis(*_range([*known, *(end for _, cell in drawn for end in _ends(cell))]), LEFT, WIDTH - RIGHT)
    height = TOP + len(drawn) * ROW + BOTTOM
    parts = [
        Markup('<svg class="curves intervals" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH,
            height,
            f"{foreign(measure.title)}: means and intervals; the table beside it has the numbers",
        )
    ]
    for tick in x.ticks():
        at = round(x(tick), 1)
        parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(at, TOP, height - BOTTOM))
        parts.append(_text(at, height - BOTTOM + 17, "middle", short_number(tick)))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 5, "middle", foreign(measure.title, 60)))
    if known:
        at = round(x(known[0]), 1)
        parts.append(Markup('<path class="mark" d="M{} {}V{}"/>').format(at, TOP, height - BOTTOM))
    for place, (title, cell) in enumerate(drawn):
        parts += _row(title, cell, x, TOP + (place + 0.5) * ROW)
    return Markup("").join([*parts, Markup("</svg>")])


def _row(title: str, cell: StudyCell, x: Axis, y: float) -> list[Markup]:
    name = foreign(title)
    short = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
    parts = [_text(LEFT - 8, y + 4, "end", short)]
    if cell.low is not None and cell.high is not None:
        low, high = round(x(cell.low), 1), round(x(cell.high), 1)
        ends = f"M{low} {y - CAP}V{y + CAP}M{low} {y}H{high}M{high} {y - CAP}V{y + CAP}"
        parts.append(Markup('<path class="interval" fill="none" d="{}"/>').format(ends))
    parts.append(Markup('<circle class="mean" cx="{:.1f}" cy="{}" r="4.5"/>').format(x(cell.mean), y))
    return parts


def _ends(cell: StudyCell) -> list[float]:
    return [value for value in (cell.mean, cell.low, cell.high) if value is not None]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Least and greatest of what is finite, with some room; never equal."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
    return low - room, high + room


def _text(x: float, y: float, anchor: str, words: str) -> Markup:
    return Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, words)
