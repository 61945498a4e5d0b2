"""The story of one picture: what every result says of its uid, within one collection's line.

`stages.report.trace` asks every table of a store; here the index says which tables have a row, and of each
stage the newest result is asked. The others are named, with links.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from dashboard.catalogue import Contents
from dashboard.pictures.reader import StoreReader
from dashboard.tables.filter import text_lists
from dashboard.tables.index import Holding, columns_of, select
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.kind import Row
from stages.kinds.rejects import REJECTS
from stages.registry import kinds

OTHERS = 24
"""Results beside those that are told of, at most."""
DATASETS = 40
"""Datasets that are asked whether models saw the picture, the newest ones."""
MODELS = 24
TWINS = ("merged_into", "cluster")
"""Columns that name the picture which stands for this one."""


@dataclass(frozen=True)
class StoryEvent:
    """What one result says of a picture."""

    artifact: Artifact
    what: str
    facts: Mapping[str, Any]
    left_out: bool
    settings: Mapping[str, Any]
    """Scalars of the result's config: thresholds among them."""
    twin: str = ""
    """uid of the picture that stands for it, where that is another."""
    cluster: str = ""
    """Of which there is a gallery in the same result."""


@dataclass(frozen=True)
class Caption:
    """One text of a picture."""

    text: str
    source: str
    weight: float | None


@dataclass(frozen=True)
class Story:
    """All that a page says of a picture."""

    uid: str
    collection: Artifact | None
    """The collection whose line is told; None where that was dropped."""
    collections: Sequence[Artifact]
    """Where the uid is an image or a reject, newest first."""
    events: Sequence[StoryEvent]
    others: Sequence[Artifact]
    """Further results with a row of it, newest first, a few at most."""
    others_count: int
    captions: Sequence[Caption]
    location: str
    sha256: str
    damaged: Sequence[str]
    """Tables that could not be read, in sentences."""
    models: Sequence[Artifact]
    """That learned from it, newest first, a few at most."""
    models_count: int
    datasets_unasked: int
    """Datasets that hold it and were not asked for models, as they are many."""
    datasets_dropped: int
    """Dropped datasets, of which nobody can tell."""
    pictured: Artifact | None
    """Result whose pages can show it."""
    vectors: Artifact | None
    """Result with its embedding."""


def holdings_of(reader: StoreReader, contents: Contents, uid: str) -> list[Holding]:
    """Tables with a row of a uid, newest first; by its leading digits, which nobody else's share by
    chance."""
    holdings = reader.index.holders(contents, "uid", uid)
    return [holding for holding in holdings if holding.artifact.dropped is None]


def story(reader: StoreReader, contents: Contents, uid: str, collection: str = "") -> Story | None:
    """What is known of a picture; None where no table of the store has a row of it.

    Args:
        reader: of the store.
        contents: of the store.
        uid: 32 hex digits.
        collection: fingerprint of the collection whose line is told; "": the newest that has it.
    """
    holdings = holdings_of(reader, contents, uid)
    if not holdings:
        return None
    sources = {h.artifact.fingerprint: h.artifact for h in holdings if _is_collection(h.artifact)}
    chosen = sources.get(collection) or next(iter(sources.values()), None)
    line = _line(contents, chosen) if chosen is not None else {h.artifact.fingerprint for h in holdings}
    damaged: list[str] = []
    events: list[StoryEvent] = []
    captions: list[Caption] = []
    location = sha256 = ""
    newest: dict[str, str] = {}
    with reader.index.database.cursor() as db:
        for h in holdings:
            stage, fingerprint = h.artifact.stage, h.artifact.fingerprint
            if fingerprint not in line or newest.get(stage, fingerprint) != fingerprint:
                continue
            newest[stage] = fingerprint
            try:
                rows = select(db, reader.index, h.artifact, h.table, "uid = ?", [uid])
                texts = text_lists(columns_of(db, "selected"), "text")
                for row in rows:
                    events += _events(reader, db, h, row)
                    location = location or row.get("location") or ""
                    sha256 = sha256 or row.get("sha256") or ""
                    if _is_collection(h.artifact) or not captions:
                        captions = [caption for name in texts for caption in _captions(row[name])] or captions
            except StageError as error:
                damaged.append(str(error))
        models, unasked = _models(reader, contents, db, holdings, uid)
    order = list(kinds())
    events.sort(key=lambda event: (order.index(event.artifact.kind), event.artifact.manifest.ended))
    if not events and not damaged:
        return None
    everything = {h.artifact.fingerprint: h.artifact for h in holdings}
    others = [artifact for artifact in everything.values() if artifact.fingerprint not in newest.values()]
    return Story(
        uid=uid,
        collection=chosen,
        collections=list(sources.values()),
        events=events,
        others=others[:OTHERS],
        others_count=len(others),
        captions=captions,
        location=location,
        sha256=sha256,
        damaged=damaged,
        models=models[:MODELS],
        models_count=len(models),
        datasets_unasked=unasked,
        datasets_dropped=sum(
            a.dropped is not None and a.kind in kinds() and kinds()[a.kind].splits
            for a in contents.artifacts.values()
        ),
        pictured=_first(holdings, line, lambda kind: kind.shown and kind.shown.table),
        vectors=_first(holdings, line, lambda kind: kind.vectors and kind.vectors.table),
    )


def _is_collection(artifact: Artifact) -> bool:
    return artifact.kind == "images"


def _line(contents: Contents, collection: Artifact) -> set[str]:
    """Fingerprints of a collection and of what was made from it, without its later editions."""
    seen, queue = {collection.fingerprint}, [collection.fingerprint]
    for fingerprint in queue:
        for name, child in contents.children.get(fingerprint, ()):
            kind = kinds().get(contents.artifacts[child].kind)
            if child not in seen and not (kind is not None and name in kind.supersedes):
                seen.add(child)
                queue.append(child)
    return seen


def _first(holdings: Sequence[Holding], line: set[str], table: Any) -> Artifact | None:
    """The newest result of a line, else of all, that has the row in the table that its kind names."""
    able = [h.artifact for h in holdings if table(kinds()[h.artifact.kind]) == h.table]
    return next((artifact for artifact in able if artifact.fingerprint in line), able[0] if able else None)


def _events(reader: StoreReader, db: Any, holding: Holding, row: Row) -> Iterator[StoryEvent]:
    artifact = holding.artifact
    kind = kinds()[artifact.kind]
    for trace in kind.trace:
        if trace.table != holding.table:
            continue
        event = trace.event(partial(_lookup, reader, db, artifact), row)
        what = event.pop("what")
        facts = {name: value for name, value in event.items() if value not in ("", None, [])}
        if kind.shown is not None and kind.shown.table == holding.table and "bytes" not in facts:
            facts.pop("file", None)
            facts["bytes"] = f"{row['file']} from {row['offset']}, {row['length']} bytes"
        twin = next((row[name] for name in TWINS if row.get(name) not in (None, "", row["uid"])), "")
        cluster = row.get("cluster") or "" if (row.get("multiplicity") or 0) > 1 else ""
        scalars = {
            name: value
            for name, value in artifact.config.items()
            if isinstance(value, bool | int | float | str)
        }
        facts.pop("merged_into", None)
        yield StoryEvent(
            artifact, what, facts, trace is REJECTS, scalars, twin if _is_uid(twin) else "", cluster
        )


def _is_uid(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")


def _lookup(
    reader: StoreReader, db: Any, artifact: Artifact, table: str, column: str, value: str
) -> Iterator[Row]:
    if artifact.has_table(table):
        yield from select(db, reader.index, artifact, table, f"{column} = ?", [value])


def _captions(entries: object) -> Iterator[Caption]:
    for entry in cast("list[dict[str, Any]]", entries or []):
        yield Caption(entry.get("text") or "", entry.get("source") or "", entry.get("weight"))


def _models(
    reader: StoreReader, contents: Contents, db: Any, holdings: Sequence[Holding], uid: str
) -> tuple[list[Artifact], int]:
    """Models that learned from a picture, newest first, and how many datasets were not asked."""
    datasets = [h for h in holdings if kinds()[h.artifact.kind].splits and h.table != REJECTS.table]
    trained: list[Artifact] = []
    selects: list[str] = []
    for number, h in enumerate(datasets[:DATASETS]):
        try:
            reader.index.scan(db, h.artifact, h.table, f"dataset_{number}")
            selects.append(
                f"SELECT {number} AS number FROM dataset_{number} WHERE uid = $1 AND split = 'train'"
            )
        except StageError:  # told of by the dataset's own page
            continue
    if selects:
        for (number,) in db.execute(" UNION ALL ".join(selects), [uid]).fetchall():
            trained.append(datasets[number].artifact)
    models: dict[str, Artifact] = {}
    for dataset in trained:
        for artifact in contents.descendants(dataset):
            if artifact.kind in kinds() and kinds()[artifact.kind].learns:
                models[artifact.fingerprint] = artifact
    ordered = sorted(models.values(), key=lambda artifact: artifact.manifest.ended, reverse=True)
    return ordered, max(0, len(datasets) - DATASETS)
