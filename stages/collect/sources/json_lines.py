"""JSON Lines: an object a line."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from stages.collect.sources.batch import Batch, Gathering, bounded
from stages.collect.sources.delimited import check_columns
from stages.collect.sources.limits import Reading
from stages.collect.sources.lines import Watched, skip_line

DEPTH = 100
"""How deeply lists and objects may be nested: those who write JSON again, or look through it, recurse."""


def read_json_lines(
    file: Any, columns: Sequence[str], path: str, reading: Reading, others: bool
) -> Iterator[Batch]:
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
    gathering = Gathering()
    first = True
    with io.BufferedReader(Watched(file, reading.check), 1 << 16) as lines:
        number = 0
        while line := lines.readline(limit + 1):
            number += 1
            place = f"line {number}"
            if len(line) > limit:
                if not line.endswith(b"\n"):
                    skip_line(lines)
                gathering.refuse({}, place, reading.limits.long_row(place))
            elif line.strip():
                row = _object(line, path, number)
                cells = row if others else {name: row[name] for name in columns if name in row}
                if first:
                    cells = row  # for the error that tells what there is
                gathering.add(cells, place, len(line))
            if gathering.is_full:
                yield _batch(gathering, columns, others, path, reading, first)
                gathering, first = Gathering(), False
    if gathering.rows:
        yield _batch(gathering, columns, others, path, reading, first)


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
    gathering: Gathering, columns: Sequence[str], others: bool, path: str, reading: Reading, first: bool
) -> Batch:
    rows: list[dict[str, Any]] = gathering.rows
    present = list(dict.fromkeys(key for row in rows for key in row))
    if first and len(gathering.faults) < len(rows):
        check_columns(columns, present, path)  # a key may be absent from some rows, not from all first ones
    names = dict.fromkeys([*columns, *present] if others else columns)
    cells = {name: [row.get(name) for row in rows] for name in names}
    return bounded(cells, gathering.places, gathering.faults, reading.limits)
