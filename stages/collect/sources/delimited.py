"""CSV, TSV and lists of URLs: records of cells, with a header or called by position."""

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stages.collect.sources.batch import BatchBuilder, RowBatch, bounded
from stages.collect.sources.limits import ReadContext
from stages.collect.sources.lines import CancellableFile, LongRecordError, TextLines, UndecodableError

_START, _PLAIN, _QUOTED, _CLOSED = range(4)
"""States of the quote automaton: before a cell, in one without quotes, in quotes, after a quote within
quotes."""
_INSIDE = re.compile(r'(?:[^"]++|"")*+')
INDEX_COLUMNS = ("", "Unnamed: 0", "__index_level_0__")
"""What pandas calls a frame's index in a file, which says nothing of the picture."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The dialect of a CSV, TSV or list of URLs: how its cells are laid out, and its encoding."""

    header: bool = True
    """The first line names the columns, unless it holds a URL."""
    delimiter: str = ""
    """Between cells; "": as the file's name says."""
    quotes: bool = True
    """Quote marks enclose cells; else they are letters."""
    encoding: str = "utf-8"


def is_url(cell: str) -> bool:
    """Whether a cell is an http or https URL, and so no column's name."""
    return cell.lstrip()[:8].lower().startswith(("http://", "https://"))


def positions(count: int) -> list[str]:
    """The names of columns without a header: "1", "2", ..."""
    return [str(number + 1) for number in range(count)]


def read_delimited(
    file: Any,
    columns: Sequence[str],
    path: str,
    delimiter: str,
    dialect: Dialect,
    reading: ReadContext,
    others: bool,
) -> Iterator[RowBatch]:
    """The records of CSV or TSV in batches, every cell a text, "" where it is missing.

    Not pandas, which makes an index of the first column where rows are longer than the header, nor Arrow,
    which takes the rest of the file for one cell where a quote stays open.

    Args:
        file: of bytes.
        columns: that it must have.
        path: named in errors.
        delimiter: where the dialect names none.
        dialect: of the cells.
        reading: its limits; a record that is longer is one refused row, and is read over.
        others: give all columns.

    Raises:
        ValueError: the text cannot be understood, or lacks a column; names path, line and remedy.
    """
    delimiter = dialect.delimiter or delimiter
    with _text_of(file, dialect, reading) as text:
        lines = TextLines(text, reading.limits.row_bytes)
        present: list[str] = []
        builder = BatchBuilder()
        for number, record in _records(lines, path, delimiter, dialect):
            place = f"line {number}"
            if record is None and not present:
                raise ValueError(
                    f"table {path!r}, {place}, is longer than max_row_bytes={reading.limits.row_bytes} and "
                    "should be the header; check the file"
                )
            if record is None:
                builder.reject([""] * len(present), place, reading.limits.long_row(place))
            elif not present and record:
                present, record = _header(record, columns, path, delimiter, dialect)
            if record:  # empty lines are none; missing cells are empty
                if len(record) > len(present):
                    raise ValueError(
                        f"table {path!r}, {place}, has {len(record)} cells, the first line {len(present)}; "
                        f"put cells with {delimiter!r} in them in quotes, or set the source's `delimiter`"
                    )
                builder.add(record + [""] * (len(present) - len(record)), place, lines.size)
            if builder.is_full:
                yield _batch(builder, present, columns, others, reading)
                builder = BatchBuilder()
    if not present and columns:
        raise ValueError(f"table {path!r} is empty: it has no column {columns[0][:80]!r}, and no row")
    if builder.rows:
        yield _batch(builder, present, columns, others, reading)


def _records(
    lines: TextLines, path: str, delimiter: str, dialect: Dialect
) -> Iterator[tuple[int, list[str] | None]]:
    """The number of each record's first line, from 1, and its cells; None for those of one that is too
    long."""
    # The limit is the process's, and stands in no relation to ours, which hold for whole records.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    quoting = csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        lines.begin()
        number = lines.number + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except LongRecordError:
            _skip(lines, delimiter, dialect.quotes)
            record = None
        except csv.Error as error:
            remedy = "check the file"
            if dialect.quotes:
                remedy += ", or set the source's `quotes: false` where quote marks are letters in it"
            raise ValueError(
                f"table {path!r}, line {number}, cannot be read as cells between {delimiter!r}: {error}; "
                f"{remedy}"
            ) from None
        except UndecodableError as error:
            raise _undecodable(error, path, dialect) from None
        yield number, record


def read_url_list(
    file: Any, columns: Sequence[str], path: str, dialect: Dialect, reading: ReadContext
) -> Iterator[RowBatch]:
    """The lines of a list of URLs, in batches of one column, "url"; blank ones are none.

    Arguments and errors are those of `read_delimited`.
    """
    if missing := [name for name in columns if name != "url"]:
        raise ValueError(
            f"table {path!r} is a list of URLs, one a line, and has no column {missing[0][:80]!r} but "
            "'url'; set the source's `caption_columns: []` and name no other columns"
        )
    with _text_of(file, dialect, reading) as text:
        lines = TextLines(text, reading.limits.row_bytes)
        builder = BatchBuilder()
        while True:
            lines.begin()
            try:
                line = next(lines, None)
            except LongRecordError:
                _skip(lines, "", quotes=False)
                place = f"line {lines.number}"
                builder.reject("", place, reading.limits.long_row(place))
                continue
            except UndecodableError as error:
                raise _undecodable(error, path, dialect) from None
            if line is None:
                break
            if not line.isspace():
                builder.add(line.strip(), f"line {lines.number}", len(line))
            if builder.is_full:
                yield bounded({"url": builder.rows}, builder.places, builder.rejections, reading.limits)
                builder = BatchBuilder()
    if builder.rows:
        yield bounded({"url": builder.rows}, builder.places, builder.rejections, reading.limits)


def _text_of(file: Any, dialect: Dialect, reading: ReadContext) -> io.TextIOWrapper:
    """The text of a file of bytes; bytes that its encoding does not know become lone surrogates."""
    is_utf8 = codecs.lookup(dialect.encoding).name == "utf-8"
    raw = io.BufferedReader(CancellableFile(file, reading.check), 1 << 16)
    encoding = "utf-8-sig" if is_utf8 else dialect.encoding
    return io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape", newline="")


def _undecodable(error: UndecodableError, path: str, dialect: Dialect) -> ValueError:
    return ValueError(
        f"table {path!r}, line {error.line}, is no {dialect.encoding} ({error.what}); save it as UTF-8, or "
        "name what it is in the source's `encoding`, as latin-1"
    )


def check_columns(
    columns: Sequence[str], present: Sequence[str], path: str, first: Sequence[str] = ()
) -> None:
    """ValueError unless a table has each of some columns, and only once; `first` is its first record."""
    for name in columns:
        if name not in present:
            raise ValueError(
                f"table {path!r} has no column {name[:80]!r}; it has: {_listed(present)}"
                f"{_remedy(present, first)}"
            )
        if list(present).count(name) > 1:
            raise ValueError(f"table {path!r} has several columns {name!r}; rename all but one")


def _remedy(present: Sequence[str], first: Sequence[str]) -> str:
    """What may be wrong where a column is missing."""
    for delimiter in (";", "\t", "|", ","):
        if len(first) == 1 and delimiter in first[0]:
            return f"; line 1 seems to be parted by {delimiter!r}: set the source's `delimiter` to that"
    if present and list(present) == positions(len(present)):
        return (
            "; its first line is no header, so they are called by position: give the source's url_column "
            "and caption_columns by position"
        )
    return ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:40])
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _header(
    record: list[str], columns: Sequence[str], path: str, delimiter: str, dialect: Dialect
) -> tuple[list[str], list[str]]:
    """The columns' names, and what the first record holds besides: itself where it is no header."""
    headless = not dialect.header or any(map(is_url, record))
    present = positions(len(record)) if headless else record
    check_columns(columns, present, path, record)
    return present, record if headless else []


def _batch(
    builder: BatchBuilder, present: Sequence[str], columns: Sequence[str], others: bool, reading: ReadContext
) -> RowBatch:
    cells = list(zip(*builder.rows, strict=True))
    taken = [number for number, name in enumerate(present) if others or name in columns]
    named = {present[number]: cells[number] for number in taken}
    return bounded(named, builder.places, builder.rejections, reading.limits)


def _skip(lines: TextLines, delimiter: str, quotes: bool) -> None:
    """Read on to the end of a record that is too long, without storing it."""
    state = _START
    for piece in lines.record_lines:
        state = _advance(piece, state, delimiter, quotes)
    piece = lines.record_lines[-1]
    lines.begin()
    while piece:
        ended = piece.endswith(("\n", "\r"))
        if ended and state != _QUOTED:
            return
        lines.number += ended
        piece = lines.read_piece()
        state = _advance(piece, state, delimiter, quotes)


def _advance(piece: str, state: int, delimiter: str, quotes: bool) -> int:
    """The state of the quote automaton after another piece of a record, as `csv.reader` sees it."""
    if not quotes:
        return _PLAIN
    place = 0
    while place < len(piece):
        if state == _QUOTED:
            inside = _INSIDE.match(piece, place)
            assert inside is not None  # it matches nothing, too
            place = inside.end() + 1
            if place > len(piece):
                return _QUOTED
            state = _CLOSED
        elif state == _PLAIN:
            place = piece.find(delimiter, place) + 1
            if not place:
                return _PLAIN
            state = _START
        else:
            letter = piece[place]
            place += 1
            state = {'"': _QUOTED, delimiter: _START}.get(letter, _PLAIN)
    return state
