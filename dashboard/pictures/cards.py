"""A picture on a page: its thumbnail, or the words in its place, its caption and a few facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from dashboard.catalogue import Contents
from dashboard.links import thumbnail_path
from dashboard.pictures.places import first_text
from dashboard.pictures.reader import StoreReader
from dashboard.tables.filter import FLOATS, text_lists
from stages.artifacts.artifact import Artifact
from stages.kinds.rejects import REASONS

FACTS = 4
"""Of a card at most."""


@dataclass(frozen=True)
class PictureCard:
    """One picture, or one row without."""

    uid: str
    thumbnail: str = ""
    """Address of the thumbnail; "" where there is none."""
    gone: str = ""
    """Why there is none, where that is known."""
    caption: str = ""
    facts: tuple[tuple[str, object], ...] = ()
    merged_into: str = ""
    """uid of the row that stands for it."""


def cards(
    reader: StoreReader,
    contents: Contents,
    artifact: Artifact,
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    shown: Iterable[str] = (),
) -> list[PictureCard]:
    """The rows of a table as cards.

    Args:
        reader: of the store.
        contents: of the store.
        artifact: whose table it is.
        rows: with a uid each.
        columns: of the table, with their SQL types.
        shown: columns whose values are shown before all others.
    """
    places = reader.pictures.places(contents, artifact, [row["uid"] for row in rows])
    forbidden = reader.watch.forbidden()
    floats = [name for name, kind in columns.items() if kind in FLOATS]
    names = list(dict.fromkeys([*shown, *(name for name in REASONS if name in columns), *floats]))
    captions = (text_lists(columns, "text") or [""])[0]
    made: list[PictureCard] = []
    for row in rows:
        uid, place = row["uid"], places.get(row["uid"])
        sha256, location = row.get("sha256") or "", row.get("location") or ""
        if place is not None:
            sha256, location = place.sha256 or sha256, place.location or location
        number = forbidden.takedown(uid=uid, sha256=sha256, location=location)
        made.append(
            PictureCard(
                uid,
                thumbnail_path(artifact, uid) if place is not None and number is None else "",
                f"taken down (take-down {number})" if number is not None else "",
                first_text(row.get(captions)) or (place.caption if place is not None else ""),
                tuple((name, row[name]) for name in names if row.get(name) not in (None, ""))[:FACTS],
                row.get("merged_into") or "",
            )
        )
    return made


def cell(value: object) -> str:
    """A value of a table for people."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return "; ".join(_item(item) for item in items)
    return str(value)


def _item(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    entry = cast("dict[str, Any]", item)
    if "text" in entry:
        return str(entry["text"])
    return "=".join(str(entry[key]) for key in ("name", "value") if key in entry) or str(entry)
