"""Tables: Parquet, CSV, TSV and JSON Lines, read in batches; of URL tables, every row a `Row`."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.files import Found, expand
from stages.collect.rows import Row, captions_of, columns_of, text_of
from stages.collect.url import UrlError, normalise, redacted
from stages.config import UrlSource
from stages.record import uid_of

COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
"""Suffix of a compressed text -> Arrow's name of the codec. Arrow's, since it fails where a file is cut off;
those that fsspec takes for .zst end there without a word."""

Batch = Mapping[str, Sequence[Any]]
_BATCH = 10_000


def url_rows(source: UrlSource, *, changed: bool) -> Iterator[Row]:
    """Every row of a source's tables, in order.

    A row whose URL cannot be fetched carries the reason, and of the URL only what holds no secret.

    Args:
        source: which tables and columns.
        changed: what an earlier edition says of this source's rows cannot be trusted.

    Raises:
        ValueError: a table cannot be read, has no rows, or lacks a column; names them.
    """
    told = (*source.caption_columns, *source.columns, *filter(None, [source.licence_column]))
    names = tuple(dict.fromkeys((source.url_column, *told)))
    for table in expand(source.name, source.tables):
        number = 0
        for batch in read(table, names):
            count = len(batch[source.url_column])
            captions = zip(*(batch[name] for name in source.caption_columns), strict=True)
            texts = captions if source.caption_columns else [()] * count
            licences = batch[source.licence_column] if source.licence_column else [""] * count
            columns = _passed(source.columns, batch, count)
            for url, cells, licence, passed in zip(
                batch[source.url_column], texts, licences, columns, strict=True
            ):
                row = f"{source.name}:{table.label}:{number}"
                location, reason, detail = _location(url)
                # Rows without a URL are no duplicates of each other.
                yield Row(
                    uid_of(source.name, location or row),
                    source.name,
                    location,
                    row,
                    *captions_of(source.caption_columns, cells),
                    text_of(licence).strip() or source.licence,
                    passed,
                    reason,
                    detail,
                    changed=changed,
                )
                number += 1
        if number == 0:
            raise ValueError(f"table {table.path!r} of source {source.name!r} has no rows; give one that has")


def read(table: Found, columns: Sequence[str], *, others: bool = False) -> Iterator[Batch]:
    """A table in batches, column -> values; CSV's values are texts as they stand, "" where a cell is empty.

    Args:
        table: its label ends in .parquet, .csv, .tsv, .jsonl or .ndjson; texts also in these and .gz or .zst.
        columns: those that it must have, at least one.
        others: give all columns that it has, not only those.

    Raises:
        ValueError: the table cannot be read, or lacks a column; names the table and what it has.
    """
    *_, first, last = f"..{table.label.lower()}".split(".")
    codec = COMPRESSIONS.get(last)
    suffix = first if codec else last
    if suffix not in _READERS or (codec and suffix == "parquet"):
        raise ValueError(
            f"table {table.path!r} is none of {', '.join(f'.{name}' for name in _READERS)}, nor one of these "
            f"texts as {' or '.join(f'.{name}' for name in COMPRESSIONS)}; convert it"
        )
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(table.system.open(table.path, "rb"))
            if codec:
                file = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec))
            yield from _READERS[suffix](file, columns, others, table.path)
    except (OSError, pa.ArrowException, csv.Error, UnicodeError) as error:
        raise ValueError(
            f"table {table.path!r} cannot be read as {suffix}: {error}; check the file"
        ) from error


def json_of(text: bytes) -> Any:
    """A JSON value whose texts are texts: "?" stands for half a surrogate pair, which no table can hold.

    ValueError if it is none, or nested deeper than Python can read.
    """
    try:
        value = json.loads(text)
        if b"\\ud" in text or b"\\uD" in text:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def opened(file: Any) -> Any:
    """A Parquet file, by path or opened, to be read in memory that doesn't grow with its row groups."""
    # pre_buffer would fetch ahead without a limit; without a buffer, a column's whole chunk is read at once.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)


def check_columns(wanted: Sequence[str], present: Sequence[str], path: str) -> None:
    """ValueError unless a table has each of some columns, and only once."""
    for name in wanted:
        if name not in present:
            raise ValueError(
                f"table {path!r} has no column {name!r}; it has: {', '.join(map(repr, present))}"
            )
        if list(present).count(name) > 1:
            raise ValueError(f"table {path!r} has several columns {name!r}; rename all but one")


def _location(value: Any) -> tuple[str, str, str]:
    """Normalised URL, reason and detail of a cell; what may be kept of the URL where it is none."""
    text = text_of(value)
    try:
        return normalise(text), "", ""
    except UrlError as error:
        return redacted(text.strip()), error.reason, error.detail


def _passed(names: Sequence[str], batch: Batch, count: int) -> Iterator[str]:
    if not names:
        yield from ["{}"] * count
    else:
        for cells in zip(*(batch[name] for name in names), strict=True):
            yield columns_of(dict(zip(names, cells, strict=True)))


def _parquet(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    with opened(file) as table:
        check_columns(columns, table.schema_arrow.names, path)
        for batch in table.iter_batches(_BATCH, columns=None if others else list(dict.fromkeys(columns))):
            yield {name: batch.column(place).to_pylist() for place, name in enumerate(batch.schema.names)}


def _csv(file: Any, columns: Sequence[str], others: bool, path: str, separator: str = ",") -> Iterator[Batch]:
    # Not pandas, which makes an index of the first column where rows are longer than the header, nor Arrow,
    # which takes the rest of the file for one cell where a quote stays open.
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        lines = csv.reader(text, delimiter=separator, strict=True)
        present = next(lines, [])
        check_columns(columns, present, path)
        kept = [place for place, name in enumerate(present) if others or name in columns]
        rows: list[list[str]] = []
        for row in lines:
            if len(row) > len(present):
                raise ValueError(
                    f"table {path!r}, line {lines.line_num}, has {len(row)} cells, the header "
                    f"{len(present)}; put cells with {separator!r} in them in quotes"
                )
            if row:  # empty lines are none; missing cells are empty
                rows.append(row if len(row) == len(present) else row + [""] * (len(present) - len(row)))
            if len(rows) == _BATCH:
                yield _cells(rows, present, kept)
                rows = []
        if rows:
            yield _cells(rows, present, kept)


def _cells(rows: list[list[str]], names: Sequence[str], kept: Sequence[int]) -> Batch:
    columns = list(zip(*rows, strict=True))
    return {names[place]: columns[place] for place in kept}


def _tsv(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    yield from _csv(file, columns, others, path, "\t")


def _jsonl(file: Any, columns: Sequence[str], others: bool, path: str) -> Iterator[Batch]:
    rows: list[dict[str, Any]] = []
    first = True
    with io.BufferedReader(file) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_json_object(line, path, number))
            if len(rows) == _BATCH:
                yield _batch(rows, columns, others, path, first)
                rows, first = [], False
    if rows:
        yield _batch(rows, columns, others, path, first)


def _json_object(line: bytes, path: str, number: int) -> dict[str, Any]:
    try:
        value = json_of(line)
    except ValueError as error:
        raise ValueError(f"table {path!r}, line {number}, is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"table {path!r}, line {number}, is no JSON object but {type(value).__name__}")
    return value


def _batch(rows: list[dict[str, Any]], columns: Sequence[str], others: bool, path: str, first: bool) -> Batch:
    present = list(dict.fromkeys(key for row in rows for key in row))
    if first:  # a key may be absent from some rows, not from all of the first ones
        check_columns(columns, present, path)
    names = dict.fromkeys([*columns, *present] if others else columns)
    return {name: [row.get(name) for row in rows] for name in names}


_READERS = {"parquet": _parquet, "csv": _csv, "tsv": _tsv, "jsonl": _jsonl, "ndjson": _jsonl}
