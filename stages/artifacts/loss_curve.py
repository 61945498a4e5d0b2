"""The curve of a training at work, thinned to so few points that a status can carry it.

The whole curve, of every row, is a file of the finished model (metrics.jsonl). Until then this is what people
on any machine see of it: it spans all of the training, and its last point is the newest.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Point = tuple[int, float | None]
"""Images seen, and a value; None: it was not finite."""
POINTS = 200
"""Of a curve, at most."""
NAMES: Mapping[str, Sequence[str]] = {
    "loss": ("loss",),
    "validation": ("validation/ema/mse", "validation/ema/loss"),
}
"""Curves of a status, and what rows of a metrics.jsonl call them: the first that a row has counts."""


class LossCurve:
    """Values against images seen, evenly thinned as they come."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._least = 0.0
        """Images between two points, at least; the last may be nearer."""

    def add(self, images: int, value: float) -> None:
        """The next value. Fewer images than before: the training went back to a checkpoint, and what it
        had learned since is no part of the curve any more."""
        points = self._points
        while points and points[-1][0] >= images:
            points.pop()
        if len(points) > 1 and points[-1][0] - points[-2][0] < self._least:
            points.pop()
        points.append((images, float(value) if math.isfinite(value) else None))
        if len(points) > POINTS:
            self._least = 2 * (images - points[0][0]) / POINTS
            points[:] = [*points[:-1:2], points[-1]]

    @property
    def points(self) -> tuple[Point, ...]:
        """What there is of it now, in the order of images: `POINTS` at most."""
        return tuple(self._points)


def curves_of_rows(lines: Iterable[str]) -> dict[str, LossCurve]:
    """The curves so far of a training that goes on from a checkpoint.

    Args:
        lines: of a metrics.jsonl. ValueError: one is no JSON.
    """
    curves = {name: LossCurve() for name in NAMES}
    for line in lines:
        row: Mapping[str, Any] = json.loads(line)
        for name, columns in NAMES.items():
            if column := next((column for column in columns if column in row), ""):
                curves[name].add(int(row["images"]), row[column])
    return curves
