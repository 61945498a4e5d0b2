"""What pages of rows and pictures share: the index, where pictures lie, thumbnails, what is forbidden."""

import hashlib
import threading
from dataclasses import dataclass, field

from fastapi import Request
from starlette.exceptions import HTTPException

from dashboard.catalogue import Catalogue, Contents
from dashboard.pictures.places import PicturePlaces
from dashboard.pictures.thumbnail import Thumbnails
from dashboard.tables.index import TableIndex
from dashboard.takedowns.watch import TakedownWatch
from stages.artifacts.artifact import Artifact
from stages.store import Store
from stages.store.cache import Cache

_LOCK = threading.Lock()


@dataclass
class StoreReader:
    """How one store is read for people."""

    index: TableIndex
    pictures: PicturePlaces
    watch: TakedownWatch
    thumbnails: Thumbnails
    counts: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])
    """By table and condition: how many rows meet it."""

    @classmethod
    def of(cls, store: Store) -> "StoreReader":
        """With the index in the user's cache folder, apart for each store."""
        name = hashlib.sha256(store.url.encode()).hexdigest()[:16]
        index = TableIndex(Cache.default().folder / "dashboard" / name)
        pictures, watch = PicturePlaces(index), TakedownWatch(store)
        return cls(index, pictures, watch, Thumbnails(pictures, watch))


def reading(request: Request) -> tuple[Contents, StoreReader]:
    """What the store holds now, and how it is read; the index knows all of it."""
    state = request.app.state
    catalogue: Catalogue = state.catalogue
    contents = catalogue.contents()
    with _LOCK:
        if not hasattr(state, "reading"):
            state.reading = StoreReader.of(contents.store)
    state.reading.index.update(contents)
    return contents, state.reading


def artifact_of(contents: Contents, stage: str, fingerprint: str) -> Artifact:
    """The artifact of an address; "not found" where the store knows none."""
    artifact = contents.artifacts.get(fingerprint)
    if artifact is None or artifact.stage != stage:
        raise HTTPException(404, "The store knows no such artifact.")
    return artifact
