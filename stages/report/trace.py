"""What became of one row: read from the tables of a store's artifacts, from collect down to the models.

DuckDB reads the tables: pyarrow would bring pandas along, which takes a second to import.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from duckdb import DuckDBPyConnection

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import references_by_artifact, resolve
from stages.collect.report.views import views
from stages.collect.web.url import normalise
from stages.foreign_text import escape
from stages.kind import Row
from stages.registry import kinds
from stages.store import Store
from stages.takedown.holders import Lineage


def trace_row(store: Store, what: str) -> dict[str, Any]:
    """What happened to a row at every stage of every run.

    Args:
        store: where to look.
        what: URL or path as in a source, or 8 to 32 hex digits of a uid.

    Returns:
        {"query": what, "rows": [{"uid", "location", "events": [...]}]}, and an event is {"stage", "artifact",
        "references", "what", ...}: what each artifact says of each uid that is meant, oldest first.

    Raises:
        ValueError: no collection of the store holds such a row, as an image or as a reject.
    """
    lineage = Lineage(store, frozenset())
    everything = sorted(lineage.artifacts.values(), key=lambda artifact: artifact.manifest.started)
    called = references_by_artifact(store)
    collected = [artifact for artifact in everything if artifact.stage == "collect"]
    if not collected:
        raise ValueError(f"store {store.url} holds no collected images yet")
    with views({}) as db:
        uids: dict[str, str] = {}
        for images in collected:
            uids.update(_meant(db, images, what))
        if not uids:
            raise ValueError(
                f"{what!r} is no URL, path or uid of any collection in {store.url}{_others(lineage)}; "
                + _hint(store, what)
            )
        rows: list[dict[str, Any]] = []
        for uid, location in sorted(uids.items()):
            events = [
                {
                    "stage": artifact.stage,
                    "artifact": artifact.short_name,
                    "references": called.get(artifact.fingerprint, []),
                    **event,
                }
                for artifact, event in _events(db, everything, lineage, uid)
            ]
            rows.append({"uid": uid, "location": location, "events": events})
    return {"query": what, "rows": rows}


def as_lines(trace: dict[str, Any]) -> Iterator[str]:
    """The answer of `trace_row` for people."""
    for row in trace["rows"]:
        yield f"{row['uid']}  {escape(row['location'], 5000)}"
        for event in row["events"]:
            known = f"  ({', '.join(event['references'])})" if event["references"] else ""
            yield f"  {event['stage']:<9} {event['artifact']}{known}"
            facts = {
                key: value
                for key, value in event.items()
                if key not in ("stage", "artifact", "references", "what")
            }
            words = ", ".join(
                f"{key} {_short(value)}" for key, value in facts.items() if value not in ("", None, [])
            )
            yield f"  {'':<9} {event['what']}" + (f": {words}" if words else "")
        yield ""


def _meant(db: DuckDBPyConnection, images: Artifact, what: str) -> dict[str, str]:
    """uid -> location of the rows of one collection, kept or rejected, that are meant."""
    locations: dict[str, str] = {}
    for name in filter(images.has_table, ("images", "rejects")):
        spellings = _spellings(what)
        rows = _select(db, images, name, f"location IN ({', '.join('?' * len(spellings))})", spellings)
        if 8 <= len(what) <= 32 and set(what) <= set("0123456789abcdef"):
            # uids that begin with the digits lie between these two
            rows += _select(db, images, name, "uid BETWEEN ? AND ?", [what, what + "g"])
        locations.update({row["uid"]: row["location"] for row in rows if row["uid"]})
    return locations


def _spellings(what: str) -> list[str]:
    """As given, and as collect writes URLs."""
    try:
        return [what, normalise(what)]
    except ValueError:
        return [what]


def _events(
    db: DuckDBPyConnection, everything: Sequence[Artifact], lineage: Lineage, uid: str
) -> Iterator[tuple[Artifact, dict[str, Any]]]:
    """What each artifact says of a uid; models and evaluations follow the datasets that the row is in, or may
    have been in before they were dropped."""
    trained: set[str] = set()  # fingerprints of datasets and models that have learned from the row, or will
    for artifact in everything:
        kind = kinds().get(artifact.kind)
        if kind is None:  # made by another version
            continue
        inputs = {entry["fingerprint"] for entry in artifact.manifest.inputs.values() if entry}
        if kind.derived is not None and inputs & trained:
            if kind.learns:
                trained.add(artifact.fingerprint)
            yield artifact, dict(kind.derived(artifact))
        elif kind.derived is not None and (unasked := lineage.unasked(artifact)):
            yield artifact, {"what": "perhaps made from it", "dropped": [str(each) for each in unasked]}
        lookup = partial(_lookup, db, artifact)
        for table in kind.trace:
            for row in lookup(table.table, "uid", uid):
                event = table.event(lookup, row)
                if kind.splits and event.get("split") == "train":
                    trained.add(artifact.fingerprint)
                yield artifact, event


def _lookup(db: DuckDBPyConnection, artifact: Artifact, table: str, column: str, value: str) -> Iterator[Row]:
    """The rows of an artifact's table with this value in a column; none where it has no such table."""
    if artifact.has_table(table):
        yield from _select(db, artifact, table, f"{column} = ?", [value])


def _select(
    db: DuckDBPyConnection, artifact: Artifact, name: str, condition: str, values: list[str]
) -> list[dict[str, Any]]:
    """The rows of a table that meet an SQL condition, in their order; `values` are for its question marks."""
    artifact.scan(db, name, "scanned")
    cursor = db.execute(f"SELECT * FROM scanned WHERE {condition}", values)
    names = [column for column, *_ in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _hint(store: Store, what: str) -> str:
    try:
        artifact = resolve(store, what)
    except ValueError:
        return "give it as the source spells it"
    return f"it is {artifact.short_name}, and `sdflow show` says what that was made of"


def _others(lineage: Lineage) -> str:
    """How many collections can't be asked."""
    count = sum(artifact.kind == "images" for artifact in lineage.dropped.values())
    return f" ({count:,} more collections were dropped)" if count else ""


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType]
    return escape(text, 160)
