"""CSV, TSV and lists of URLs: records of cells, with a header or called by position."""

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stages.collect.sources.batch import Batch, Gathering, bounded
from stages.collect.sources.limits import Reading
from stages.collect.sources.lines import LongRecordError, TextLines, UndecodableError, Watched

_START, _PLAIN, _QUOTED, _CLOSED = range(4)
"""Where in a cell a record is: before it, in one without quotes, in quotes, after a quote within quotes."""
_INSIDE = re.compile(r'(?:[^"]++|"")*+')
INDEX_COLUMNS = ("", "Unnamed: 0", "__index_level_0__")
"""What pandas calls a frame's index in a file, which says nothing of the picture."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text's cells are laid out."""

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
    layout: Layout,
    reading: Reading,
    others: bool,
) -> Iterator[Batch]:
    """The records of CSV or TSV in batches, every cell a text, "" where it is missing.

    Not pandas, which makes an index of the first column where rows are longer than the header, nor Arrow,
    which takes the rest of the file for one cell where a quote stays open.

    Args:
        file: of bytes.
        columns: that it must have.
        path: named in errors.
        delimiter: where the layout names none.
        layout: of the cells.
        reading: its limits; a record that is longer is one refused row, and is read over.
        others: give all columns.

    Raises:
        ValueError: the text cannot be understood, or lacks a column; names path, line and remedy.
    """
    delimiter = layout.delimiter or delimiter
    # The limit is the process's, and stands in no relation to ours, which hold for whole records.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _text_of(file, layout, reading) as text:
        lines = TextLines(text, reading.limits.row_bytes)
        quoting = csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE
        records = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
        present: list[str] = []
        gathering = Gathering()
        first = 1
        try:
            while True:
                lines.begin()
                first = lines.number + 1
                try:
                    record = next(records)
                except StopIteration:
                    break
                except LongRecordError:
                    _skip(lines, delimiter, layout.quotes)
                    if not present:
                        raise ValueError(
                            f"table {path!r}, line {first}, is longer than max_row_bytes="
                            f"{reading.limits.row_bytes} and should be the header; check the file"
                        ) from None
                    place = f"line {first}"
                    gathering.refuse([""] * len(present), place, reading.limits.long_row(place))
                    record = []
                if not present and record:
                    present, record = _header(record, columns, path, delimiter, layout)
                if len(record) > len(present):
                    raise ValueError(
                        f"table {path!r}, line {first}, has {len(record)} cells, the first line "
                        f"{len(present)}; put cells with {delimiter!r} in them in quotes, or set the "
                        "source's `delimiter`"
                    )
                if record:  # empty lines are none; missing cells are empty
                    record += [""] * (len(present) - len(record))
                    gathering.add(record, f"line {first}", lines.size)
                if gathering.is_full:
                    yield _batch(gathering, present, columns, others, reading)
                    gathering = Gathering()
        except csv.Error as error:
            remedy = "check the file"
            if layout.quotes:
                remedy += ", or set the source's `quotes: false` where quote marks are letters in it"
            raise ValueError(
                f"table {path!r}, line {first}, cannot be read as cells between {delimiter!r}: {error}; "
                f"{remedy}"
            ) from None
        except UndecodableError as error:
            raise _undecodable(error, path, layout) from None
    if not present and columns:
        raise ValueError(f"table {path!r} is empty: it has no column {columns[0][:80]!r}, and no row")
    if gathering.rows:
        yield _batch(gathering, present, columns, others, reading)


def read_list(
    file: Any, columns: Sequence[str], path: str, layout: Layout, reading: Reading
) -> Iterator[Batch]:
    """The lines of a list of URLs, in batches of one column, "url"; blank ones are none.

    Arguments and errors are those of `read_delimited`.
    """
    if missing := [name for name in columns if name != "url"]:
        raise ValueError(
            f"table {path!r} is a list of URLs, one a line, and has no column {missing[0][:80]!r} but "
            "'url'; set the source's `caption_columns: []` and name no other columns"
        )
    with _text_of(file, layout, reading) as text:
        lines = TextLines(text, reading.limits.row_bytes)
        gathering = Gathering()
        while True:
            lines.begin()
            try:
                line = next(lines, None)
            except LongRecordError:
                _skip(lines, "", quotes=False)
                place = f"line {lines.number}"
                gathering.refuse("", place, reading.limits.long_row(place))
                continue
            except UndecodableError as error:
                raise _undecodable(error, path, layout) from None
            if line is None:
                break
            if not line.isspace():
                gathering.add(line.strip(), f"line {lines.number}", len(line))
            if gathering.is_full:
                yield bounded({"url": gathering.rows}, gathering.places, gathering.faults, reading.limits)
                gathering = Gathering()
    if gathering.rows:
        yield bounded({"url": gathering.rows}, gathering.places, gathering.faults, reading.limits)


def _text_of(file: Any, layout: Layout, reading: Reading) -> io.TextIOWrapper:
    """The text of a file of bytes; bytes that its encoding does not know become lone surrogates."""
    is_utf8 = codecs.lookup(layout.encoding).name == "utf-8"
    raw = io.BufferedReader(Watched(file, reading.check), 1 << 16)
    encoding = "utf-8-sig" if is_utf8 else layout.encoding
    return io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape", newline="")


def _undecodable(error: UndecodableError, path: str, layout: Layout) -> ValueError:
    return ValueError(
        f"table {path!r}, line {error.line}, is no {layout.encoding} ({error.what}); save it as UTF-8, or "
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
    record: list[str], columns: Sequence[str], path: str, delimiter: str, layout: Layout
) -> tuple[list[str], list[str]]:
    """The columns' names, and what the first record holds besides: itself where it is no header."""
    headless = not layout.header or any(map(is_url, record))
    present = positions(len(record)) if headless else record
    check_columns(columns, present, path, record)
    return present, record if headless else []


def _batch(
    gathering: Gathering, present: Sequence[str], columns: Sequence[str], others: bool, reading: Reading
) -> Batch:
    cells = list(zip(*gathering.rows, strict=True))
    taken = [number for number, name in enumerate(present) if others or name in columns]
    named = {present[number]: cells[number] for number in taken}
    return bounded(named, gathering.places, gathering.faults, reading.limits)


def _skip(lines: TextLines, delimiter: str, quotes: bool) -> None:
    """Read on to the end of a record of which the beginning is held."""
    state = _START
    for piece in lines.held:
        state = _state(piece, state, delimiter, quotes)
    piece = lines.held[-1]
    lines.begin()
    while piece:
        ended = piece.endswith(("\n", "\r"))
        if ended and state != _QUOTED:
            return
        lines.number += ended
        piece = lines.rest_of_line()
        state = _state(piece, state, delimiter, quotes)


def _state(piece: str, state: int, delimiter: str, quotes: bool) -> int:
    """Where in a cell a record is after another piece of it, as `csv.reader` sees it."""
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
