"""Curves of a training, out of its metrics.jsonl: every value against images seen, thinned for a picture.

A row of the file has "images" and values; which values is the training's to say. Names without "/" are of
training, "validation/ema/mse" is a measure of something that was validated. A training that went on with
another's state says so in its first row (`continued_at`), and one with sizes in stages has "size" in each.
"""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact

METRICS = "metrics.jsonl"
IMAGES = "images"
NUMBERS = (int, float)
"""Types of values; a bool is none."""
SIZE = "size"
CONTINUED_AT = "continued_at"
BUCKETS = 200
"""Of images seen, of each of which the least and the greatest value are drawn: one for three pixels."""
SERIES = 8
"""Most lines of a panel; the others stand in the table."""
PANELS = 12
Floats = NDArray[np.float64]
Columns = dict[str, tuple[Floats, Floats]]
"""Name -> (images, values) of the rows that have a number of this name."""
NONE: Floats = np.empty(0)
LOSSES = "loss of training"
APART = ("rate", "gradient_norm")
"""Values of training that are no losses: each has a panel of its own."""


@dataclass(frozen=True)
class Series:
    """One value against images seen."""

    name: str
    images: Floats
    values: Floats
    """Thinned; NaN and infinity are gaps of the line."""
    rows: int
    """How many rows of the file have it."""
    last: float
    least: float
    """Of the finite values; NaN where there is none."""
    not_finite: int
    """Rows in which it is NaN or infinite."""

    @property
    def is_positive(self) -> bool:
        """Whether a logarithmic axis can show all of it."""
        return not bool((self.values[np.isfinite(self.values)] <= 0).any())


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis."""

    title: str
    series: Sequence[Series]

    @property
    def positive(self) -> bool:
        """Whether a logarithmic scale suits it: everything is above 0."""
        return all(each.is_positive for each in self.series)


@dataclass(frozen=True)
class Curves:
    """Everything that is drawn of a training."""

    rows: int
    panels: Sequence[Panel]
    others: Sequence[Series] = ()
    """Lines for which no panel has room."""
    continued_at: Sequence[float] = ()
    """Images after which the training went on with another's state."""
    sizes: Sequence[tuple[float, int]] = ()
    """(images before which it began, pixels to a side) where sizes follow each other."""
    damaged: int = 0
    """Lines of the file that are no rows."""


@dataclass(frozen=True)
class _File:
    """A file by its hash, so that it is parsed once."""

    sha256: str
    artifact: Artifact = field(compare=False)


def curves_of(artifact: Artifact) -> Curves | None:
    """The curves of a model; None where it has none (an average, or one that was dropped).

    DamagedError: the file is not what was published."""
    if artifact.dropped is not None or METRICS not in artifact.files:
        return None
    return _read(_File(artifact.entry(METRICS).sha256, artifact))


@lru_cache(maxsize=32)
def _read(file: _File) -> Curves:
    return read_curves(file.artifact.read(METRICS))


def read_curves(text: bytes) -> Curves:
    """The curves of a metrics.jsonl, also of one whose last line is not whole yet."""
    columns, rows, damaged = _columns_by_arrow(text) or _columns(text)
    columns.pop(IMAGES, None)
    marks = columns.pop(CONTINUED_AT, (NONE, NONE))[1].tolist()
    sizes = _stages(*columns.pop(SIZE, (NONE, NONE)))
    series = {name: _thinned(name, *column) for name, column in columns.items() if len(column[0])}
    panels = _panels(series)
    drawn = {each.name for panel in panels for each in panel.series}
    others = [each for name, each in series.items() if name not in drawn]
    return Curves(rows, panels, others, marks, sizes, damaged)


def point_curves(points: Mapping[str, Sequence[tuple[int, float | None]]]) -> Curves:
    """The curves of a training at work.

    Args:
        points: by name, "loss" or "validation", (images seen, value); None: the value was not finite.
    """
    panels: list[Panel] = []
    for name, curve in points.items():
        values = [math.nan if value is None else value for _, value in curve]
        if values:
            series = _thinned(name, np.asarray([images for images, _ in curve], float), np.asarray(values))
            panels.append(Panel(LOSSES if name == "loss" else name, [series]))
    return Curves(max((panel.series[0].rows for panel in panels), default=0), panels[:PANELS])


def _columns_by_arrow(text: bytes) -> tuple[Columns, int, int] | None:
    """Columns, how many rows, how many lines are none; None where a line is not JSON as arrow knows it, as
    one with NaN is not. Several times as fast as Python's own for a file of many rows."""
    import pyarrow as pa
    import pyarrow.json

    try:
        table: Any = pyarrow.json.read_json(io.BytesIO(text))
        images = table.column(IMAGES)
        if images.null_count or not pa.types.is_integer(images.type):
            return None
    except (pa.ArrowInvalid, KeyError):
        return None
    places = images.to_numpy().astype(np.float64)
    if (np.diff(places) < 0).any():
        return None
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            there = column.is_valid().to_numpy()
            columns[name] = places[there], column.drop_null().to_numpy().astype(np.float64)
    return columns, len(places), 0


def _columns(text: bytes) -> tuple[Columns, int, int]:
    """As `_columns_by_arrow`, of whatever the lines are."""
    lines = text.splitlines()
    rows = [row for row in map(_row, lines) if type(row) is dict and type(row.get(IMAGES)) in NUMBERS]
    rows.sort(key=lambda row: row[IMAGES])
    columns: Columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        pairs = [(row[IMAGES], row[name]) for row in rows if name in row and type(row[name]) in NUMBERS]
        column = np.asarray(pairs, np.float64).reshape(-1, 2)
        columns[name] = column[:, 0], column[:, 1]
    return columns, len(rows), len(lines) - len(rows)


def _row(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _stages(images: Floats, sizes: Floats) -> list[tuple[float, int]]:
    """(images before which it began, pixels to a side), where there is more than one size."""
    changes = np.flatnonzero(np.diff(sizes))
    begins = [(0.0, int(sizes[0]))] if len(changes) else []
    return [*begins, *((float(images[place]), int(sizes[place + 1])) for place in changes)]


def _thinned(name: str, places: Floats, ordinates: Floats) -> Series:
    """Of each bucket of images the least and the greatest value, and one gap where there is any."""
    finite = np.isfinite(ordinates)
    least = float(ordinates[finite].min()) if finite.any() else math.nan
    chosen = np.arange(len(places))
    if len(places) > 2 * BUCKETS:
        span = max(places[-1] - places[0], 1.0)
        bucket = np.minimum((places - places[0]) * BUCKETS // span, BUCKETS - 1).astype(int)
        edges = np.flatnonzero(np.diff(bucket)) + 1
        keep: list[int] = [0, len(places) - 1]
        for part in np.split(chosen, edges):
            good = part[finite[part]]
            if len(good):
                keep += [int(good[ordinates[good].argmin()]), int(good[ordinates[good].argmax()])]
            if len(good) < len(part):
                keep.append(int(part[~finite[part]][0]))
        chosen = np.unique(keep)
    return Series(
        name,
        places[chosen],
        ordinates[chosen],
        len(places),
        float(ordinates[-1]),
        least,
        int((~finite).sum()),
    )


def _panels(series: Mapping[str, Series]) -> list[Panel]:
    """Losses, each measure that was validated, and what has an axis of its own."""
    losses = [each for name, each in series.items() if "/" not in name and name not in APART]
    if len(losses) == 2:  # the loss is its only part
        losses = [each for each in losses if each.name != "loss"] or losses
    groups: dict[str, list[Series]] = {LOSSES: losses} if losses else {}
    for name, each in series.items():
        if "/" in name and "@" not in name:
            what, measure = name.split("/", 1)[0], name.rsplit("/", 1)[1]
            groups.setdefault(f"{what}: {measure}", []).append(each)
        elif name in APART:
            groups[name] = [each]
    return [Panel(title, own[:SERIES]) for title, own in list(groups.items())[:PANELS]]
