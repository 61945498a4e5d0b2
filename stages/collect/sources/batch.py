"""A batch of a table's rows: columns, where each row stands, and which rows are rejected as they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.collect.sources.limits import BATCH_BYTES, BATCH_ROWS, Rejection, RowLimits


@dataclass(frozen=True)
class RowBatch:
    """Some rows of a table. A rejected row has its place, and None in every column that could not be read."""

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    """Of each row: "line 3" of a text, "row 3" of Parquet; both count from 1."""
    rejections: Mapping[int, Rejection]
    """Number of the row in the batch -> why it is rejected."""

    def __len__(self) -> int:
        return len(self.places)


def bounded(
    columns: Mapping[str, Sequence[Any]],
    places: Sequence[str],
    rejections: Mapping[int, Rejection],
    limits: RowLimits,
) -> RowBatch:
    """A batch in which cells longer than the limit are None and refuse their rows."""
    rejected = dict(rejections)
    short = dict(columns)
    for name, cells in columns.items():
        if long := limits.long_cells(cells):
            shortened = list(cells)
            for number in long:
                rejected.setdefault(number, limits.long_cell(name, places[number]))
                shortened[number] = None
            short[name] = shortened
    return RowBatch(short, places, rejected)


class BatchBuilder:
    """Gathers rows to a batch, until they are many or large."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.places: list[str] = []
        self.rejections: dict[int, Rejection] = {}
        self._bytes = 0

    def add(self, row: Any, place: str, size: int) -> None:
        """A row, and about how many bytes of text it came from."""
        self.rows.append(row)
        self.places.append(place)
        self._bytes += size

    def reject(self, row: Any, place: str, rejection: Rejection) -> None:
        """A row that is rejected; `row` stands in for its cells."""
        self.rejections[len(self.rows)] = rejection
        self.add(row, place, 0)

    @property
    def is_full(self) -> bool:
        """Whether the batch is complete."""
        return len(self.rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES
