"""JSON Lines: an object a line."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from stages.collect.sources.batch import BatchBuilder, RowBatch, bounded
from stages.collect.sources.delimited import check_columns
from stages.collect.sources.limits import ReadContext
from stages.collect.sources.lines import CancellableFile, skip_line

DEPTH = 100
"""How deeply lists and objects may be nested: those who write JSON again, or look through it, recurse."""


def read_json_lines(
    file: Any, columns: Sequence[str], path: str, reading: ReadContext, others: bool
) -> Iterator[RowBatch]:
    """The objects in batches, key -> values, None where a row lacks the key.

    Args:
        file: of bytes.
        columns: keys that the first rows must have.
        path: named in errors.
        reading: its limits; a line that is longer is one refused row, and is read over.
        others: give all keys.

    Raises:
        ValueError: a line is no JSON object, or none of the first rows has a column; names path and line.
    """
    limit = reading.limits.row_bytes
    builder = BatchBuilder()
    first = True
    with io.BufferedReader(CancellableFile(file, reading.check), 1 << 16) as lines:
        number = 0
        while line := lines.readline(limit + 1):
            number += 1
            place = f"line {number}"
            if len(line) > limit:
                if not line.endswith(b"\n"):
                    skip_line(lines)
                builder.reject({}, place, reading.limits.long_row(place))
            elif line.strip():
                row = _object(line, path, number)
                cells = row if others else {name: row[name] for name in columns if name in row}
                if first:
                    cells = row  # for the error that tells what there is
                builder.add(cells, place, len(line))
            if builder.is_full:
                yield _batch(builder, columns, others, path, reading, first)
                builder, first = BatchBuilder(), False
    if builder.rows:
        yield _batch(builder, columns, others, path, reading, first)


def json_of(text: bytes) -> Any:
    """A JSON value whose texts are texts: "?" stands for half a surrogate pair, which no table can hold.

    ValueError if it is none, nested deeper than `DEPTH`, or has a number of thousands of digits.
    """
    try:
        value = _loaded(text)
        if text.count(b"[") + text.count(b"{") > DEPTH and _is_deeper(value, DEPTH):
            raise ValueError("it is nested too deeply")
        if b"\\ud" in text or b"\\uD" in text:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # Python's own words for it have a remedy that is none here
        raise ValueError("it has a number of thousands of digits") from None


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested deeper, looked at level by level."""
    level = [value] if isinstance(value, list | dict) else []
    for _ in range(depth):
        inner = (parts.values() if isinstance(parts, dict) else parts for parts in level)
        level = [part for parts in inner for part in parts if isinstance(part, list | dict)]
    return bool(level)


def _object(line: bytes, path: str, number: int) -> dict[str, Any]:
    try:
        value = json_of(line)
    except ValueError as error:
        raise ValueError(f"table {path!r}, line {number}, is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"table {path!r}, line {number}, is no JSON object but {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _batch(
    builder: BatchBuilder, columns: Sequence[str], others: bool, path: str, reading: ReadContext, first: bool
) -> RowBatch:
    rows: list[dict[str, Any]] = builder.rows
    present = list(dict.fromkeys(key for row in rows for key in row))
    if first and len(builder.rejections) < len(rows):
        check_columns(columns, present, path)  # a key may be absent from some rows, not from all first ones
    names = dict.fromkeys([*columns, *present] if others else columns)
    cells = {name: [row.get(name) for row in rows] for name in names}
    return bounded(cells, builder.places, builder.rejections, reading.limits)
