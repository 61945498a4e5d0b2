"""The sources' own columns that go with each picture into the index: labels, among others."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from stages.record import INDEX

REPEATS = "repeats"
"""The column of a source by which its pictures are seen more often; `FolderSource.repeats` passes it on."""


def passed(objects: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Arrow arrays by name, of strings, or of lists of strings where some row has a list; null where a row
    has nothing, or nothing but an empty text.

    Args:
        objects: `columns` of record.IMAGES, a JSON object for each row.
        names: of the columns.

    Raises:
        ValueError: no row has a column of that name, or the index has one of its own.
    """
    if taken := sorted(set(names) & set(INDEX.names)):
        raise ValueError(f"shard.columns={list(names)}: the index has {taken} of its own; leave them out")
    if not names:
        return {}
    rows: list[dict[str, Any]] = [json.loads(text) for text in objects]
    counts = Counter(name for row in rows for name in row)
    if missing := [name for name in names if name not in counts]:
        raise ValueError(
            f"shard.columns={list(names)}: no picture has {missing}; the sources passed on "
            f"{sorted(counts) or 'none'} (name them in a source's `columns`)"
        )
    return {name: _column([row.get(name) for row in rows]) for name in names}


def sampling_weights(objects: Sequence[str]) -> list[float | None]:
    """How often each picture is to be seen, by the sources' column `REPEATS`; once where a row has none.

    None for all where no row has one: nothing is said.

    Args:
        objects: `columns` of record.IMAGES, a JSON object for each row.
    """
    counts: list[float | None] = [
        _count(json.loads(text).get(REPEATS)) if f'"{REPEATS}"' in text else None for text in objects
    ]
    if all(count is None for count in counts):
        return counts
    return [1.0 if count is None else count for count in counts]


def _count(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e9 else None


def _column(values: list[Any]) -> Any:
    if not any(isinstance(value, list) for value in values):
        return pa.array([_text(value) for value in values], pa.string())
    return pa.array([_texts(value) for value in values], pa.list_(pa.string()))


def _text(value: Any) -> str | None:
    """Strings as they are, other things as JSON says them."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _texts(value: Any) -> list[str] | None:
    """An empty list stays one: nothing of the kind is there, and that is known."""
    if isinstance(value, list):
        items: list[Any] = value
        return [text for text in map(_text, items) if text is not None]
    return None if (text := _text(value)) is None else [text]
