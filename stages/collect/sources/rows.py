"""The rows that come in, from whatever kind of source, in one table."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.sources.limits import ReadContext, Rejection

ROWS = pa.schema(
    [
        ("uid", pa.string()),
        ("source", pa.string()),
        ("location", pa.string()),  # where the row is refused: what may be kept of it, see `url.redacted`
        ("row", pa.string()),  # where it stood, "source:table:number", numbers from 0
        ("captions", pa.list_(pa.string())),
        ("caption_sources", pa.list_(pa.string())),  # the column or file that each caption came from
        ("licence", pa.string()),  # "" where none is stated
        ("columns", pa.string()),  # JSON object
        ("reason", pa.string()),  # a `Reason` where the row is refused as it stands, else ""
        ("rule", pa.string()),  # the config that refused it; "" where none did
        ("detail", pa.string()),
        ("path", pa.string()),  # local file that holds the bytes; "": they must be fetched from the location
        ("offset", pa.int64()),  # of the bytes in that file
        ("length", pa.int64()),  # -1: to the file's end; -2: the offset is a row, see `parquets.IN_TABLE`
        ("stamp", pa.string()),  # hash of that file; "" where they must be fetched
        ("changed", pa.bool_()),  # what the previous edition says of the row cannot be trusted
        ("number", pa.int64()),  # order of the rows as they came
    ]
)
_BATCH = 20_000
_BATCH_CHARACTERS = 16_000_000


class SourceRow(NamedTuple):
    """A row of a source: a picture that it names, with captions; in the order of `ROWS` without its
    number."""

    uid: str
    source: str
    location: str
    row: str
    captions: list[str]
    caption_sources: list[str]
    licence: str
    columns: str
    reason: str = ""
    rule: str = ""
    detail: str = ""
    path: str = ""
    offset: int = 0
    length: int = -1
    stamp: str = ""
    changed: bool = False


def write_rows(rows: Iterable[SourceRow], path: Path) -> None:
    """Write the rows to a Parquet file, in batches, numbered as they come."""
    with pq.ParquetWriter(path, ROWS, compression="zstd") as writer:
        batch: list[SourceRow] = []
        written, characters = 0, 0
        for row in rows:
            batch.append(row)
            characters += len(row.columns) + sum(map(len, row.captions))
            if len(batch) == _BATCH or characters > _BATCH_CHARACTERS:
                writer.write_table(_table(batch, written))
                written += len(batch)
                batch, characters = [], 0
        writer.write_table(_table(batch, written))


def _table(batch: list[SourceRow], first: int) -> Any:
    columns = list(zip(*batch, strict=True)) or [()] * (len(ROWS) - 1)
    numbers = range(first, first + len(batch))
    arrays = [pa.array(column, field.type) for column, field in zip([*columns, numbers], ROWS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def captions_of(names: Sequence[str], cells: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The captions in some cells of a row, and the column of each.

    A cell holds a text, or a list of texts; blank ones and missing values are none.

    Args:
        names: the columns, in the order in which their captions shall come.
        cells: the row's values of them.
    """
    captions: list[str] = []
    sources: list[str] = []
    for name, cell in zip(names, cells, strict=True):
        for value in cell if isinstance(cell, list | tuple) else (cell,):
            text = text_of(value)
            if text and not text.isspace():
                captions.append(text)
                sources.append(name)
    return captions, sources


def columns_of(values: Mapping[str, Any]) -> str:
    """Passed-through columns as a JSON object with sorted keys; NaN is null, other things are text."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, default=text_of)


def rejection_of(captions: Sequence[str], columns: str, place: str, reading: ReadContext) -> Rejection | None:
    """Why a row of so long captions and passed-through columns is refused; None where it isn't."""
    limits = reading.limits
    if len(columns) > limits.row_bytes:
        return limits.long_row(place)
    return limits.of_captions(captions, place)


def rejected(row: SourceRow, rejection: Rejection) -> SourceRow:
    """A row with the rejection for which it is refused, without captions and columns."""
    return row._replace(
        captions=[],
        caption_sources=[],
        columns="{}",
        reason=rejection.reason,
        rule=rejection.rule,
        detail=rejection.detail,
    )


def text_of(value: Any) -> str:
    """A cell as text: "" for a missing value (None, NaN); bytes are read as UTF-8."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
