"""A report of any shape as tables: values by name, a row for each part of a list, nested values by path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from dashboard.versions.flattened import flattened, has_mappings, shown

ROWS = 100
"""Of a table; of more the first are shown."""
COLUMNS = 16


@dataclass(frozen=True)
class ReportTable:
    """One table."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left_out: int = 0
    """Rows for which there is no room."""


def report_tables(report: Mapping[str, Any]) -> list[ReportTable]:
    """The tables of a report in its order, and last what it says without a heading of its own."""
    tables: list[ReportTable] = []
    for name, value in report.items():
        if _is_nested(value):
            tables += _nested(name, value)
    plain = {name: value for name, value in report.items() if not _is_nested(value)}
    return [*tables, _values("facts", plain)] if plain else tables


def _nested(title: str, value: Any) -> Iterator[ReportTable]:
    if isinstance(value, list | tuple):
        yield _list(title, cast("Sequence[Mapping[str, Any]]", value))
        return
    whole = cast("Mapping[str, Any]", value)
    lists = {name: inner for name, inner in whole.items() if has_mappings(inner)}
    if rest := {name: inner for name, inner in whole.items() if name not in lists}:
        yield _values(title, rest)
    for name, inner in lists.items():
        yield _list(f"{title}: {name}", inner)


def _values(title: str, values: Mapping[str, Any]) -> ReportTable:
    rows = [(name, shown(value)) for name, value in flattened(values).items()]
    return ReportTable(title, ("name", "value"), rows[:ROWS], max(0, len(rows) - ROWS))


def _list(title: str, entries: Sequence[Mapping[str, Any]]) -> ReportTable:
    flat = [flattened(entry) if isinstance(entry, Mapping) else {"value": entry} for entry in entries[:ROWS]]  # pyright: ignore[reportUnnecessaryIsInstance]
    head = list(dict.fromkeys(name for entry in flat for name in entry))[:COLUMNS]
    rows = [[shown(entry[name]) if name in entry else "" for name in head] for entry in flat]
    return ReportTable(title, head, rows, len(entries) - len(rows))


def _is_nested(value: Any) -> bool:
    return has_mappings(value) or (isinstance(value, Mapping) and bool(cast("Mapping[str, Any]", value)))
