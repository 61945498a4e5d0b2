"""Rows of a table as a CSV file, made as it is sent: what a gallery shows, for spreadsheets and scripts.

A file that was saved cannot be taken back: pictures that were taken down are not in it, names, captions and
all. Spreadsheets run what looks like a formula, so that a text which does begins with an apostrophe.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dashboard.catalogue import Contents
from dashboard.pictures.cards import cell
from dashboard.pictures.reader import StoreReader
from dashboard.rows.page import row_order, table_meant
from dashboard.tables.filter import RowFilter, condition
from dashboard.tables.index import columns_of
from stages.artifacts.artifact import Artifact
from stages.foreign_text import escape
from stages.redaction import redact

ROWS = 100_000
"""Of a file, at most."""
BATCH = 1000
"""Rows that are in memory at once."""
FORMULA = ("=", "+", "-", "@")
"""First characters of what spreadsheets take for a formula."""
LONGEST = 20_000
"""Characters of a cell; spreadsheets end one at 32,767."""
PLACE = ("file", "offset", "length")
"""Columns that only this store's files give a meaning to."""


def csv_rows(
    reader: StoreReader, contents: Contents, artifact: Artifact, row_filter: RowFilter
) -> Iterator[str]:
    """The rows that meet a filter as CSV (RFC 4180), some at a time, names of columns first.

    The order is that of the gallery. Lists are words, as the gallery has them; numbers are whole.

    Raises:
        ValueError: the filter makes no sense for this artifact.
        StageError: a table is damaged, or a take-down cannot be read.
    """
    table = table_meant(artifact, row_filter)
    reader.watch.forbidden()  # a take-down that cannot be read is said before anything is sent
    with reader.index.database.cursor() as db:
        reader.index.scan(db, artifact, table, "rows")
        columns = columns_of(db, "rows")
        meant = condition(row_filter, columns)
        query = f"SELECT * FROM rows WHERE {meant.sql} ORDER BY {row_order(columns)} LIMIT ?"
        cursor = db.execute(query, [*meant.values, ROWS])
        names = [name for name, *_ in cursor.description or ()]
        shown = [name for name in names if name not in PLACE]
        yield _lines([[safe(name) for name in shown]])
        while batch := cursor.fetchmany(BATCH):
            rows = [dict(zip(names, row, strict=True)) for row in batch]
            left = _without_taken_down(reader, contents, artifact, rows)
            yield _lines([[safe(row[name]) for name in shown] for row in left])


def safe(value: object) -> str | int | float:
    """A value for a cell that no spreadsheet runs: numbers as they are, texts bounded, on one line, without
    secrets of URLs, and with an apostrophe before what looks like a formula."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = escape(redact(cell(value)), LONGEST)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def _without_taken_down(
    reader: StoreReader, contents: Contents, artifact: Artifact, rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    forbidden = reader.watch.forbidden()
    if not any(forbidden.numbers.values()):
        return list(rows)
    places = reader.pictures.places(contents, artifact, [row["uid"] for row in rows])
    left: list[Mapping[str, Any]] = []
    for row in rows:
        place = places.get(row["uid"])
        names = [(row.get("sha256") or "", row.get("location") or "")]
        names += [(place.sha256, place.location)] if place is not None else []
        if all(
            forbidden.takedown(uid=row["uid"], sha256=sha256, location=location) is None
            for sha256, location in names
        ):
            left.append(row)
    return left


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
