"""URL tables: Parquet, CSV, TSV and JSON Lines, read in batches, every row a `Row`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.files import Found, expand
from stages.collect.rows import Row, captions_of, columns_of
from stages.collect.url import normalise
from stages.config import UrlSource
from stages.reasons import Reason
from stages.record import uid_of

Batch = Mapping[str, Sequence[Any]]
_BATCH = 20_000


def url_rows(source: UrlSource, *, changed: bool) -> Iterator[Row]:
    """Every row of a source's tables, in order.

    Args:
        source: which tables and columns.
        changed: what an earlier edition says of this source's rows cannot be trusted.

    Raises:
        ValueError: a table cannot be read, has no rows, or lacks a column; names them.
    """
    wanted = (source.url_column, source.caption_column, *source.columns)
    for table in expand(source.name, source.tables):
        number = 0
        for batch in read(table, wanted):
            passed = [batch[name] for name in source.columns]
            for cells in zip(batch[source.url_column], batch[source.caption_column], *passed, strict=True):
                row = f"{source.name}:{table.label}:{number}"
                columns = columns_of(dict(zip(source.columns, cells[2:], strict=True)))
                location, reason, detail = _location(cells[0])
                yield Row(
                    uid=uid_of(
                        source.name, location or row
                    ),  # rows without a URL are no duplicates of each other
                    source=source.name,
                    location=location,
                    row=row,
                    captions=captions_of(cells[1]),
                    caption_source=source.caption_column,
                    columns=columns,
                    reason=reason,
                    detail=detail,
                    changed=changed,
                )
                number += 1
        if number == 0:
            raise ValueError(f"table {table.path!r} of source {source.name!r} has no rows; give one that has")


def read(table: Found, columns: Sequence[str], *, others: bool = False) -> Iterator[Batch]:
    """A table in batches, column -> values; CSV's values are texts as they stand, "" where a cell is empty.

    Args:
        table: its label ends in .parquet, .csv, .tsv, .jsonl or .ndjson; all but Parquet may be compressed
            (.gz, ...).
        columns: those that it must have.
        others: give all columns that it has, not only those.

    Raises:
        ValueError: the table cannot be read, or lacks a column; names the table and what it has.
    """
    suffixes = table.label.lower().split(".")[1:]
    suffix = next((name for name in _READERS if name in suffixes[-2:]), None)
    if suffix is None:
        raise ValueError(
            f"table {table.path!r} is none of {', '.join(f'.{name}' for name in _READERS)}; convert it"
        )
    compression = None if suffix == "parquet" else "infer"
    try:
        with table.system.open(table.path, "rb", compression=compression) as file:
            yield from _READERS[suffix](file, columns, others, table.path)
    except (
        OSError,
        pa.ArrowException,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeError,
    ) as error:
        raise ValueError(
            f"table {table.path!r} cannot be read as {suffix}: {error}; check the file"
        ) from error


def _location(value: Any) -> tuple[str, str, str]:
    """Normalised URL, reason and detail of a cell; the URL as it stands where it is none."""
    text = "" if value is None or value != value else str(value).strip()
    if not text:
        return "", Reason.EMPTY_URL, ""
    try:
        return normalise(text), "", ""
    except ValueError as error:
        return text[:2000], Reason.BAD_URL, str(error)[:300]


def _parquet(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    table = pq.ParquetFile(file)
    _check_columns(columns, table.schema_arrow.names, path)
    for batch in table.iter_batches(_BATCH, columns=None if others else list(dict.fromkeys(columns))):
        yield batch.to_pydict()


def _csv(file: Any, columns: Sequence[str], others: bool, path: str, separator: str = ",") -> Iterator[Batch]:
    chunks = pd.read_csv(
        file, sep=separator, dtype=str, keep_default_na=False, chunksize=_BATCH, encoding="utf-8-sig"
    )
    for chunk in chunks:
        present = [str(name) for name in chunk.columns]
        _check_columns(columns, present, path)
        yield {name: chunk[name].tolist() for name in (present if others else columns)}


def _tsv(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    yield from _csv(file, columns, others, path, "\t")


def _jsonl(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    rows: list[dict[str, Any]] = []
    first = True
    for number, line in enumerate(file, start=1):
        if line.strip():
            rows.append(_json_object(line, path, number))
        if len(rows) == _BATCH:
            yield _batch(rows, columns, others, path, first)
            rows, first = [], False
    if rows:
        yield _batch(rows, columns, others, path, first)


def _json_object(line: bytes, path: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ValueError(f"table {path!r}, line {number}, is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"table {path!r}, line {number}, is no JSON object but {type(value).__name__}")
    return value


def _batch(rows: list[dict[str, Any]], columns: Sequence[str], others: bool, path: str, first: bool) -> Batch:
    present = list(dict.fromkeys(key for row in rows for key in row))
    if first:  # a key may be absent from some rows, not from all of the first ones
        _check_columns(columns, present, path)
    names = dict.fromkeys([*columns, *present] if others else columns)
    return {name: [row.get(name) for row in rows] for name in names}


def _check_columns(wanted: Sequence[str], present: Sequence[str], path: str) -> None:
    for name in wanted:
        if name not in present:
            raise ValueError(
                f"table {path!r} has no column {name!r}; it has: {', '.join(map(repr, present))}"
            )


_READERS = {"parquet": _parquet, "csv": _csv, "tsv": _tsv, "jsonl": _jsonl, "ndjson": _jsonl}
