"""Where pictures lie: for any artifact, the nearest one in its lineage that has their bytes.

A filter's selection names no files: its collection has them. Which tables say where bytes lie is for each
kind to say, `stages.kind.PictureTable`.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from dashboard.catalogue import Contents
from dashboard.tables.index import TableIndex, columns_of
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.registry import kinds

REMEMBERED = 50_000
"""Places that are kept in memory: about 500 bytes each."""


@dataclass(frozen=True)
class PicturePlace:
    """Where a picture's bytes are, and the names by which take-downs may know it."""

    fingerprint: str
    """Of the artifact that has the file."""
    file: str
    offset: int
    length: int
    checksum: str | int
    """SHA-256 of the bytes, in hex digits, or their CRC-32."""
    sha256: str = ""
    """Of the bytes as collected; "" where the collection is gone."""
    location: str = ""
    caption: str = ""
    """The first that the picture came with; foreign text."""


class PicturePlaces:
    """Finds places, and remembers them; safe to use from several threads."""

    def __init__(self, index: TableIndex) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._places: OrderedDict[tuple[str, str], PicturePlace] = OrderedDict()

    def place(self, contents: Contents, artifact: Artifact, uid: str) -> PicturePlace | None:
        """Where one picture lies; None where no artifact of the lineage has it."""
        return self.places(contents, artifact, [uid]).get(uid)

    def places(
        self, contents: Contents, artifact: Artifact, uids: Iterable[str]
    ) -> Mapping[str, PicturePlace]:
        """Where pictures lie, by uid, without those that no artifact of the lineage has."""
        missing = set(filter(None, uids))
        places: dict[str, PicturePlace] = {}
        with self._lock:
            for uid in missing:
                place = self._places.get((artifact.fingerprint, uid))
                if place is not None and place.fingerprint in contents.artifacts:
                    places[uid] = place
        missing -= places.keys()
        if missing:
            places |= (new := self._looked_up(contents, artifact, missing))
            with self._lock:
                for uid, place in new.items():
                    self._places[artifact.fingerprint, uid] = place
                while len(self._places) > REMEMBERED:
                    self._places.popitem(last=False)
        return places

    def _looked_up(self, contents: Contents, artifact: Artifact, uids: set[str]) -> dict[str, PicturePlace]:
        places: dict[str, PicturePlace] = {}
        names: dict[str, tuple[str, str]] = {}
        captions: dict[str, str] = {}
        with self._index.database.cursor() as db:
            for source in picture_sources(contents, artifact):
                # The collection is asked also where a dataset has the pixels: it knows the names.
                unknown = sorted(uid for uid in uids if uid not in places or uid not in names)
                for row in self._rows(db, source, unknown):
                    if row.get("sha256"):
                        names.setdefault(row["uid"], (row["sha256"], row.get("location") or ""))
                    place = (row["file"], row["offset"], row["length"], row["checked"])
                    places.setdefault(row["uid"], PicturePlace(source.fingerprint, *place))
                    captions[row["uid"]] = captions.get(row["uid"]) or first_text(row.get("captions"))
                if len(places) == len(names) == len(uids):
                    break
        for uid, place in places.items():
            sha256, location = names.get(uid, ("", ""))
            places[uid] = replace(place, sha256=sha256, location=location, caption=captions[uid])
        return places

    def _rows(self, db: Any, source: Artifact, uids: list[str]) -> Iterator[dict[str, Any]]:
        shown = kinds()[source.kind].shown
        if not uids or shown is None:
            return
        try:
            self._index.scan(db, source, shown.table, "pictures")
        except (StageError, ValueError):  # damaged or gone: another artifact may have them
            return
        known = columns_of(db, "pictures")
        extra = [name for name in ("sha256", "location", "captions") if name in known]
        columns = ", ".join(["uid", "file", '"offset"', "length", f"{shown.checksum} AS checked", *extra])
        marks = ", ".join("?" * len(uids))
        cursor = db.execute(f"SELECT {columns} FROM pictures WHERE uid IN ({marks})", uids)
        names = [name for name, *_ in cursor.description]
        for row in cursor.fetchall():
            yield dict(zip(names, row, strict=True))


def picture_sources(contents: Contents, artifact: Artifact) -> Iterator[Artifact]:
    """Artifacts with files of pictures that an artifact was made from, itself first, then the nearest; a
    dropped one has none any more, and an earlier edition is another collection."""
    seen, queue = {artifact.fingerprint}, [artifact]
    while queue:
        current = queue.pop(0)
        kind = kinds().get(current.kind)
        if kind is not None and kind.shown is not None and current.dropped is None:
            yield current
        passed_over = kind.supersedes if kind is not None else ()
        for name, parent in contents.parents(current):
            if parent.fingerprint not in seen and name not in passed_over:
                seen.add(parent.fingerprint)
                queue.append(parent)


def first_text(captions: object) -> str:
    """The first caption that says anything."""
    entries = cast("list[dict[str, Any]]", captions) if isinstance(captions, list) else []
    return next((entry["text"] for entry in entries if (entry.get("text") or "").strip()), "")
