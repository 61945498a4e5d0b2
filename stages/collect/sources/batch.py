"""A batch of a table's rows: columns, where each row stands, and which rows are refused as they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.collect.sources.limits import BATCH_BYTES, BATCH_ROWS, Fault, Limits


@dataclass(frozen=True)
class Batch:
    """Some rows of a table. A refused row has its place, and None in every column that could not be read."""

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]
    """Of each row: "line 3" of a text, "row 3" of Parquet; both count from 1."""
    faults: Mapping[int, Fault]
    """Number of the row in the batch -> why it is refused."""

    def __len__(self) -> int:
        return len(self.places)


def bounded(
    columns: Mapping[str, Sequence[Any]], places: Sequence[str], faults: Mapping[int, Fault], limits: Limits
) -> Batch:
    """A batch in which cells longer than the limit are None and refuse their rows."""
    refused = dict(faults)
    short = dict(columns)
    for name, cells in columns.items():
        if long := limits.long_cells(cells):
            rest = list(cells)
            for number in long:
                refused.setdefault(number, limits.long_cell(name, places[number]))
                rest[number] = None
            short[name] = rest
    return Batch(short, places, refused)


class Gathering:
    """Rows on their way to a batch, until they are many or large."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.places: list[str] = []
        self.faults: dict[int, Fault] = {}
        self._bytes = 0

    def add(self, row: Any, place: str, size: int) -> None:
        """A row, and about how many bytes of text it came from."""
        self.rows.append(row)
        self.places.append(place)
        self._bytes += size

    def refuse(self, row: Any, place: str, fault: Fault) -> None:
        """A row that is refused; `row` stands in for its cells."""
        self.faults[len(self.rows)] = fault
        self.add(row, place, 0)

    @property
    def is_full(self) -> bool:
        """Whether the batch should be given on."""
        return len(self.rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES
