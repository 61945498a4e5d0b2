"""The rows that come in, from whatever kind of source, in one table."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = pa.schema(
    [
        ("uid", pa.string()),
        ("source", pa.string()),
        ("location", pa.string()),
        ("row", pa.string()),  # where it stood, "source:table:number", numbers from 0
        ("captions", pa.list_(pa.string())),
        ("caption_source", pa.string()),
        ("columns", pa.string()),  # JSON object
        ("reason", pa.string()),  # a `Reason` where the row is refused as it stands, else ""
        ("detail", pa.string()),
        (
            "path",
            pa.string(),
        ),  # local file that holds the bytes; "" where they must be fetched from the location
        ("offset", pa.int64()),  # of the bytes in that file
        ("length", pa.int64()),  # -1: to the file's end
        ("stamp", pa.string()),  # hash of that file; "" where they must be fetched
        ("changed", pa.bool_()),  # what the previous edition says of the row cannot be trusted
        ("number", pa.int64()),  # order of the rows as they came
    ]
)
_BATCH = 50_000


class Row(NamedTuple):
    """One row of a source, in the order of `ROWS` without its number."""

    uid: str
    source: str
    location: str
    row: str
    captions: list[str]
    caption_source: str
    columns: str
    reason: str = ""
    detail: str = ""
    path: str = ""
    offset: int = 0
    length: int = -1
    stamp: str = ""
    changed: bool = False


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write the rows to a Parquet file, in batches, numbered as they come."""
    with pq.ParquetWriter(path, ROWS, compression="zstd") as writer:
        batch: list[Row] = []
        written = 0
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(_table(batch, written))
                written += len(batch)
                batch = []
        writer.write_table(_table(batch, written))


def _table(batch: list[Row], first: int) -> Any:
    columns = list(zip(*batch, strict=True)) or [()] * (len(ROWS) - 1)
    numbers = range(first, first + len(batch))
    arrays = [
        pa.array(list(column), field.type) for column, field in zip([*columns, numbers], ROWS, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=ROWS)


def captions_of(value: Any) -> list[str]:
    """The captions in a table's cell: a text, or a list of texts; blank ones and missing values are none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    texts = value if isinstance(value, list | tuple) else [value]
    return [str(text) for text in texts if text is not None and str(text).strip()]


def columns_of(values: Mapping[str, Any]) -> str:
    """Passed-through columns as a JSON object with sorted keys; NaN is null, other things are text."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str)
