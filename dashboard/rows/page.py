"""A page of rows: those after a cursor in the order of uids, the cursors of its neighbours, and the total.

A cursor is a uid, with ":2" where two rows of that uid come before: rejects can have several. Nothing is
counted or skipped to get there (keyset paging), so that the last page costs what the first does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.pictures.reader import StoreReader
from dashboard.tables.filter import RowFilter, SqlCondition, condition, tables_of
from dashboard.tables.index import columns_of
from stages.artifacts.artifact import Artifact
from stages.kinds.rejects import REJECTS

ROWS = 48
"""Rows of a page."""
TIES = ("reason", "row", "location", "detail")
"""Columns that order rows of one uid."""
CURSOR = re.compile(r"([0-9a-zA-Z_-]{0,64})(?::(\d{1,9}))?")
QUICK = 2_000_000
"""Bytes of a table below which words of captions are counted at once."""


@dataclass(frozen=True)
class RowPage:
    """Some rows of a table."""

    table: str
    columns: Mapping[str, str]
    """Column -> SQL type."""
    rows: Sequence[Mapping[str, Any]]
    following: str
    """Cursor of the next page; "" at the end."""
    previous: str | None
    """Cursor of the page before, "" of the first one; None at the beginning."""
    total: int | None
    """Rows that meet the filter; None where counting takes long."""


def table_meant(artifact: Artifact, row_filter: RowFilter) -> str:
    """The table that a filter is about.

    Raises:
        ValueError: the artifact has none, or none of that name.
    """
    names = tables_of(artifact)
    if not names:
        raise ValueError(f"{artifact.short_name} has no table with a row for each picture")
    if row_filter.table:
        if row_filter.table not in names:
            raise ValueError(
                f"there is no table {row_filter.table!r} to look through; there are {', '.join(names)}"
            )
        return row_filter.table
    rejects = REJECTS.table
    return rejects if row_filter.reason and rejects in names else names[0]


def row_order(columns: Iterable[str]) -> str:
    """SQL for the order of a table's rows: by uid, those of one uid by what else tells them apart."""
    known = set(columns)
    return ", ".join(["uid", *(name for name in TIES if name in known)])


def row_page(reader: StoreReader, artifact: Artifact, row_filter: RowFilter, after: str = "") -> RowPage:
    """The rows of an artifact that meet a filter, after a cursor.

    Raises:
        ValueError: the filter or the cursor makes no sense for this artifact.
        DamagedError: the table is not what was published.
    """
    table = table_meant(artifact, row_filter)
    uid, before = _parsed(after)
    with reader.index.database.cursor() as db:
        reader.index.scan(db, artifact, table, "rows")
        columns = columns_of(db, "rows")
        meant = condition(row_filter, columns)
        order = row_order(columns)
        cursor = db.execute(
            f"SELECT * FROM rows WHERE uid >= ? AND {meant.sql} ORDER BY {order} LIMIT ? OFFSET ?",
            [uid, *meant.values, ROWS + 1, before],
        )
        names = [name for name, *_ in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        following = ""
        if len(rows) > ROWS:
            rows.pop()
            last = rows[-1]["uid"]
            same = sum(row["uid"] == last for row in rows) + (before if last == uid else 0)
            following = f"{last}:{same}"
        previous = _previous(db, meant, uid, before) if after else None
        quick = not row_filter.words or artifact.entry(f"{table}.parquet").size < QUICK
        total = count_rows(reader, artifact, row_filter, db) if quick else None
    return RowPage(table, columns, rows, following, previous, total)


def count_rows(reader: StoreReader, artifact: Artifact, row_filter: RowFilter, db: Any = None) -> int:
    """How many rows meet a filter; remembered, as a table never changes."""
    table = table_meant(artifact, row_filter)
    key = (artifact.entry(f"{table}.parquet").sha256, table, repr(row_filter))
    if key not in reader.counts:
        if db is None:
            with reader.index.database.cursor() as own:
                reader.index.scan(own, artifact, table, "rows")
                reader.counts[key] = _count(own, row_filter)
        else:
            reader.counts[key] = _count(db, row_filter)
        if len(reader.counts) > 10_000:
            reader.counts.pop(next(iter(reader.counts)))
    return reader.counts[key]


def _count(db: Any, row_filter: RowFilter) -> int:
    meant = condition(row_filter, columns_of(db, "rows"))
    return db.execute(f"SELECT count(*) FROM rows WHERE {meant.sql}", list(meant.values)).fetchone()[0]


def _previous(db: Any, meant: SqlCondition, uid: str, before: int) -> str | None:
    """The cursor of the page before one that begins at a cursor."""
    nearest = db.execute(
        f"SELECT uid FROM rows WHERE uid < ? AND {meant.sql} ORDER BY uid DESC LIMIT ?",
        [uid, *meant.values, ROWS + 1],
    ).fetchall()
    above = [uid] * min(before, ROWS + 1) + [name for (name,) in nearest]  # from the nearest upwards
    if not above:
        return None
    if len(above) <= ROWS:
        return ""
    last = above[ROWS]  # the last row of the page before the one before
    if last == uid:
        return f"{uid}:{before - ROWS}"
    same = db.execute(f"SELECT count(*) FROM rows WHERE uid = ? AND {meant.sql}", [last, *meant.values])
    return f"{last}:{same.fetchone()[0] - above[:ROWS].count(last)}"


def _parsed(after: str) -> tuple[str, int]:
    """The least uid of a page, and how many of its rows come before."""
    match = CURSOR.fullmatch(after)
    if match is None:
        raise ValueError("`after` is no cursor: follow the links of a page, or give a uid")
    if match[2] is not None:
        return match[1], int(match[2])
    return (f"{match[1]}!" if match[1] else ""), 0
