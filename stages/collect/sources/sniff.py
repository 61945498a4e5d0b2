"""The first rows of a table, and its dialect (encoding, delimiter, quotes), sniffed from its first bytes."""

import codecs
import csv
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.collect.sources.delimited import Dialect, check_columns, is_url
from stages.collect.sources.files import SourceFile
from stages.collect.sources.guess import Head
from stages.collect.sources.tables import COMPRESSIONS, read_table

ROWS = 200
"""Rows and members that are looked at."""
_BYTES = 1 << 18
_LINES = 20
_DELIMITERS = (",", ";", "\t", "|")


def first_rows(table: SourceFile, rows: int = ROWS, dialect: Dialect | None = None) -> Head:
    """The first rows of a table, column -> values; of Parquet only columns without bytes.

    ValueError if it cannot be read.
    """
    if not table.label.lower().endswith(".parquet"):
        head = next(read_table(table, (), dialect=dialect, others=True), None)
        return {name: values[:rows] for name, values in head.columns.items()} if head else {}
    try:
        with table.open() as file:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            kinds = parquet.schema_arrow
        names = [name for name, kind in zip(kinds.names, kinds.types, strict=True) if not holds_bytes(kind)]
        check_columns(names, kinds.names, table.path)
        head = next(read_table(table, names), None) if names else None
        return {name: head.columns[name][:rows] if head else [] for name in names}
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"table {table.path!r} cannot be read as parquet: {error}; check the file"
        ) from error


def column_names(table: SourceFile, dialect: Dialect | None = None) -> list[str]:
    """All columns of a table, as far as its first rows tell."""
    if not table.label.lower().endswith(".parquet"):
        return list(first_rows(table, dialect=dialect))
    with table.open() as file:
        return list(pq.ParquetFile(file, pre_buffer=False).schema_arrow.names)


def holds_bytes(kind: Any) -> bool:
    """Whether values of an Arrow type hold bytes, however deep."""
    if any(holds_bytes(kind.field(place).type) for place in range(kind.num_fields)):
        return True
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def guess_dialect(table: SourceFile) -> tuple[Dialect, dict[str, str]]:
    """Sniff a table's dialect; with the reasons, config key -> sentence.

    ValueError if it cannot be read, whatever the dialect.
    """
    why: dict[str, str] = {}
    suffix = _suffix(table.label)
    if suffix not in ("csv", "tsv", "txt"):
        return Dialect(), why
    data = _first_bytes(table)
    encoding = _encoding(data)
    dialect = Dialect(encoding=encoding)
    if encoding != "utf-8":
        why["encoding"] = "The first bytes are no UTF-8, and could be this."
    if suffix == "txt":
        return dialect, why
    text = data.decode(encoding, "replace").lstrip("\ufeff")
    lines = [line for line in text.splitlines()[:_LINES] if line]
    usual = "," if suffix == "csv" else "\t"
    delimiter = _delimiter(lines[: max(1, len(lines) - (len(data) >= _BYTES))], usual)
    if delimiter != usual:
        dialect = replace(dialect, delimiter=delimiter)
        why["delimiter"] = f"It parts the cells of each of the first lines, and no {usual!r} is in line 1."
    try:
        first_rows(table, 1, dialect)
    except ValueError:
        plain = replace(dialect, quotes=False)
        first_rows(table, 1, plain)  # raises where that is no better
        dialect = plain
        why["quotes"] = "Quote marks in the first rows enclose no cells."
    if lines and any(map(is_url, lines[0].split(delimiter))):
        dialect = replace(dialect, header=False)
        why["header"] = "Line 1 holds a URL, so that it names no columns: they are called by position."
    return dialect, why


def _suffix(label: str) -> str:
    *_, first, last = f"..{label.lower()}".split(".")
    return first if last in COMPRESSIONS else last


def _first_bytes(table: SourceFile) -> bytes:
    codec = COMPRESSIONS.get(table.label.lower().rpartition(".")[2])
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(table.open())
            if codec:
                file = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec))
            return file.read(_BYTES)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"table {table.path!r} cannot be read: {error}; check the file") from error


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(data)  # which minds no cut at the end
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _delimiter(lines: Sequence[str], usual: str) -> str:
    if lines and usual not in lines[0]:
        for delimiter in _DELIMITERS:
            # Cells count, not marks: one in quotes can hold the mark. Longer rows than line 1 are no table
            # either way, and told of with their line by who reads on.
            try:
                sizes = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
            except csv.Error:  # a quote mark that nothing closes
                continue
            if sizes and min(sizes) == sizes[0] > 1:
                return delimiter
    return usual
