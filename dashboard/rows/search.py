"""Search: what a person may mean by one line of text, from addresses and hashes to names.

An image is looked for by what its uid is made of, the source's name and the normalised address, so that no
table is read through.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from dashboard.catalogue import Contents
from dashboard.links import reference_path, special_path
from dashboard.pictures.reader import StoreReader
from dashboard.tables.filter import RowFilter, condition, tables_of, text_lists
from dashboard.tables.index import Holding, columns_of, select
from stages.artifacts.artifact import Artifact
from stages.collect.web.url import normalise
from stages.errors import StageError
from stages.record import uid_of
from stages.registry import kinds

LONGEST = 4096
"""Characters of a question that count."""
EACH = 12
"""Hits of a kind that are shown."""
NEWEST = 3
"""Results of which captions are searched."""
CAPTIONS = 24
HEXADECIMAL = re.compile(r"[0-9a-f]{6,64}")
NAMED = re.compile(r"([a-z0-9][a-z0-9._/-]*)(?:@(\d+|latest))?")


@dataclass(frozen=True)
class Hit:
    """One thing that may be meant."""

    group: str
    """What it is, for people: "images", "results", "names"."""
    path: str
    """Of its page."""
    words: str
    """Its name; foreign text."""
    detail: str = ""


def hits(reader: StoreReader, contents: Contents, question: str) -> list[Hit]:
    """What is meant exactly, or begins so; captions are not looked at."""
    text = question.strip()[:LONGEST]
    if not text:
        return []
    matches = [*_images(reader, contents, text), *_artifacts(contents, text), *_names(contents, text)]
    return list({hit.path: hit for hit in matches}.values())


def caption_rows(
    reader: StoreReader, contents: Contents, words: str
) -> tuple[Artifact | None, Sequence[Mapping[str, Any]], Mapping[str, str]]:
    """Rows whose captions have some words, of the newest datasets, or collections where there are none.

    Returns:
        The result that the rows are from, the first that has any; the rows; the types of its columns.
    """
    able = [a for a in reversed(list(contents.artifacts.values())) if a.dropped is None and a.kind in kinds()]
    learned = [a for a in able if kinds()[a.kind].splits]
    shown = [a for a in able if kinds()[a.kind].shown is not None and a not in learned]
    for artifact in (*learned[:NEWEST], *shown[:NEWEST]):
        for table in tables_of(artifact)[:1]:
            try:
                with reader.index.database.cursor() as db:
                    reader.index.scan(db, artifact, table, "rows")
                    columns = columns_of(db, "rows")
                    if not text_lists(columns, "text"):
                        continue
                    meant = condition(RowFilter(words=words), columns)
                    where = f"{meant.sql} LIMIT {CAPTIONS}"
                    rows = select(db, reader.index, artifact, table, where, meant.values)
            except StageError:  # the result's own page says what is damaged
                continue
            if rows:
                return artifact, rows, columns
    return None, [], {}


def _images(reader: StoreReader, contents: Contents, text: str) -> Iterator[Hit]:
    spelled = [text]
    if "://" in text:
        with suppress(ValueError):  # searched for as it stands
            spelled.append(normalise(text))
    uids = [uid_of(source, location) for source in source_names(contents) for location in spelled]
    digits = text.lower()
    lengths = {}
    if HEXADECIMAL.fullmatch(digits):
        if 8 <= len(digits) <= 32:
            lengths = {"uid": digits}
        elif len(digits) == 64:
            lengths = {"sha256": digits}
    for uid in uids:
        for holding in reader.index.holders(contents, "uid", uid)[:1]:
            yield from _rows(reader, holding, "uid", uid)
    for column, beginning in lengths.items():
        seen: set[str] = set()
        for holding in reader.index.holders(contents, column, beginning):
            if set(holding.uids) - seen and len(seen) < EACH:
                seen |= set(holding.uids)
                yield from _rows(reader, holding, column, beginning)


def _rows(reader: StoreReader, holding: Holding, column: str, beginning: str) -> Iterator[Hit]:
    """The images of a table whose uid or SHA-256 begins like this."""
    uids = " OR ".join(["uid BETWEEN ? AND ?"] * len(holding.uids))
    values = [value for uid in holding.uids for value in (uid, f"{uid}g")]
    try:
        with reader.index.database.cursor() as db:
            where = f"({uids}) AND starts_with({column}, ?) ORDER BY uid LIMIT {EACH}"
            rows = select(db, reader.index, holding.artifact, holding.table, where, [*values, beginning])
    except StageError:  # the result's own page says what is damaged
        return
    for row in rows:
        yield Hit("images", f"/images/{row['uid']}", row["uid"], row.get("location") or "")


def source_names(contents: Contents) -> Sequence[str]:
    """Names of the sources of all collections, dropped ones too, the newest first."""
    names: dict[str, None] = {}
    for artifact in reversed(list(contents.artifacts.values())):
        for value in artifact.config.values() if artifact.kind == "images" else ():
            for entry in cast("list[Any]", value) if isinstance(value, list) else ():
                name = cast("dict[str, Any]", entry).get("name") if isinstance(entry, dict) else None
                if isinstance(name, str):
                    names[name] = None
    return list(names)


def _artifacts(contents: Contents, text: str) -> Iterator[Hit]:
    stage, slash, digits = text.lower().rpartition("/")
    if not HEXADECIMAL.fullmatch(digits):
        return
    for artifact in contents.by_prefix(digits, stage if slash else ""):
        called = ", ".join(contents.references.get(artifact.fingerprint, [])[-3:])
        dropped = " (dropped)" if artifact.dropped is not None else ""
        yield Hit("results", special_path(artifact), artifact.short_name + dropped, called)


def _names(contents: Contents, text: str) -> Iterator[Hit]:
    match = NAMED.fullmatch(text.lower())
    if match is None:
        return
    name, number = match[1], match[2]
    if name in contents.histories:
        history = contents.histories[name]
        if number is None:
            yield Hit("names", reference_path(name), name, f"{len(history)} versions")
            return
        on_hold = contents.on_hold.get(name, ())
        entries = [e for e in history if str(e.number) == number]
        if number == "latest":
            entries = [e for e in history if e.number not in on_hold][-1:]
        for entry in entries:
            artifact = contents.artifacts.get(entry.fingerprint)
            path = special_path(artifact) if artifact is not None else reference_path(name)
            yield Hit("names", path, str(entry), entry.short_name)
        return
    for other in [other for other in contents.histories if text.lower() in other][:EACH]:
        yield Hit("names", reference_path(other), other, f"{len(contents.histories[other])} versions")
