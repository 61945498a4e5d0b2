"""Tables: Parquet, CSV, TSV, lists of URLs, JSON Lines, in batches; of URL tables, every row a
`SourceRow`."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa

from stages.collect.sources.batch import RowBatch
from stages.collect.sources.delimited import Dialect, read_delimited, read_url_list
from stages.collect.sources.files import SourceFile, expand
from stages.collect.sources.json_lines import read_json_lines
from stages.collect.sources.limits import ReadContext
from stages.collect.sources.parquet_batches import read_parquet
from stages.collect.sources.rows import SourceRow, captions_of, columns_of, rejected, rejection_of, text_of
from stages.collect.web.url import UrlError, normalise, redacted
from stages.config.collect import UrlSource
from stages.record import uid_of

COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
"""Suffix of a compressed text -> Arrow's name of the codec. Arrow's, since it fails where a file is cut off;
those that fsspec takes for .zst end there without a word."""
KINDS = ("parquet", "csv", "tsv", "txt", "jsonl", "ndjson")


def dialect_of(source: UrlSource) -> Dialect:
    """How the cells of a source's texts are laid out."""
    return Dialect(
        header=source.header, delimiter=source.delimiter, quotes=source.quotes, encoding=source.encoding
    )


def url_rows(source: UrlSource, *, changed: bool, reading: ReadContext | None = None) -> Iterator[SourceRow]:
    """Every row of a source's tables, in order.

    A row whose URL cannot be fetched carries the reason, and of the URL only what holds no secret; so does a
    row that holds more than the limits allow, with its line.

    Args:
        source: which tables and columns.
        changed: what an earlier edition says of this source's rows cannot be trusted.
        reading: the limits of a row, and what checks whether to stop; the defaults where None.

    Raises:
        ValueError: a table cannot be read, has no rows, or lacks a column; names them.
    """
    reading = reading or ReadContext()
    passed = (*source.caption_columns, *source.columns, *filter(None, [source.licence_column]))
    names = tuple(dict.fromkeys((source.url_column, *passed)))
    for table in expand(source.name, source.tables):
        number = 0
        for batch in read_table(table, names, reading, dialect=dialect_of(source)):
            yield from _rows(source, batch, f"{source.name}:{table.label}:", number, changed, reading)
            number += len(batch)
        if number == 0:
            raise ValueError(f"table {table.path!r} of source {source.name!r} has no rows; give one that has")


def _rows(
    source: UrlSource, batch: RowBatch, label: str, first: int, changed: bool, reading: ReadContext
) -> Iterator[SourceRow]:
    count = len(batch)
    urls = batch.columns[source.url_column]
    captions = zip(*(batch.columns[name] for name in source.caption_columns), strict=True)
    texts = captions if source.caption_columns else [()] * count
    licences = batch.columns[source.licence_column] if source.licence_column else [""] * count
    columns = _passed(source.columns, batch)
    for number, (url, cells, licence, passed) in enumerate(zip(urls, texts, licences, columns, strict=True)):
        row = f"{label}{first + number}"
        location, reason, detail = _location(url)
        captions_of_row, origins = captions_of(source.caption_columns, cells)
        rejection = batch.rejections.get(number) or rejection_of(
            captions_of_row, passed, batch.places[number], reading
        )
        if rejection is not None:
            # Under a name of its own: another row with this URL is not its copy.
            uid = uid_of(source.name, row)
            yield rejected(SourceRow(uid, source.name, location, row, [], [], "", "{}"), rejection)
            continue
        # Rows without a URL are no duplicates of each other.
        yield SourceRow(
            uid_of(source.name, location or row),
            source.name,
            location,
            row,
            captions_of_row,
            origins,
            text_of(licence).strip() or source.licence,
            passed,
            reason,
            "",
            detail,
            changed=changed,
        )


def read_table(
    table: SourceFile,
    columns: Sequence[str],
    reading: ReadContext | None = None,
    *,
    dialect: Dialect | None = None,
    others: bool = False,
) -> Iterator[RowBatch]:
    """A table in batches; CSV's values are texts as they stand, "" where a cell is empty.

    Args:
        table: its label ends in one of `KINDS`; texts also in these and .gz or .zst.
        columns: those that it must have.
        reading: the limits of a row, and what checks whether to stop; the defaults where None.
        dialect: of a text's cells; the default where None.
        others: give all columns that it has, not only those.

    Raises:
        ValueError: the table cannot be read, or lacks a column; names the table and what it has.
    """
    reading, dialect = reading or ReadContext(), dialect or Dialect()
    *_, first, last = f"..{table.label.lower()}".split(".")
    codec = COMPRESSIONS.get(last)
    kind = first if codec else last
    if kind not in KINDS or (codec and kind == "parquet"):
        raise ValueError(
            f"table {table.path!r} is none of {', '.join(f'.{name}' for name in KINDS)}, nor one of these "
            f"texts as {' or '.join(f'.{name}' for name in COMPRESSIONS)}; convert it"
        )
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(table.open())
            if codec:
                file = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec))
            if kind == "parquet":
                yield from read_parquet(file, columns, table.path, reading, others)
            elif kind == "txt":
                yield from read_url_list(file, columns, table.path, dialect, reading)
            elif kind in ("jsonl", "ndjson"):
                yield from read_json_lines(file, columns, table.path, reading, others)
            else:
                delimiter = "," if kind == "csv" else "\t"
                yield from read_delimited(file, columns, table.path, delimiter, dialect, reading, others)
    except (OSError, pa.ArrowException, csv.Error, UnicodeError, RecursionError) as error:
        raise ValueError(f"table {table.path!r} cannot be read as {kind}: {error}; check the file") from error


def _location(value: Any) -> tuple[str, str, str]:
    """Normalised URL, reason and detail of a cell; what may be kept of the URL where it is none."""
    text = text_of(value)
    try:
        return normalise(text), "", ""
    except UrlError as error:
        return redacted(text.strip()), error.reason, error.detail


def _passed(names: Sequence[str], batch: RowBatch) -> Iterator[str]:
    if not names:
        yield from ["{}"] * len(batch)
    else:
        for cells in zip(*(batch.columns[name] for name in names), strict=True):
            yield columns_of(dict(zip(names, cells, strict=True)))
