"""What pages of rows and pictures share: the index, where pictures lie, thumbnails, what is forbidden."""

import hashlib
import math
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException

from dashboard.catalogue import Catalogue, Contents
from dashboard.pictures.places import PicturePlaces
from dashboard.pictures.thumbnail import Thumbnails
from dashboard.tables.index import TableIndex
from dashboard.tables.indexing import Indexing
from dashboard.takedowns.watch import TakedownWatch
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.store import Store
from stages.store.cache import Cache

_LOCK = threading.Lock()
PATIENCE = 5.0
"""Seconds that a page waits for the index."""


@dataclass
class StoreReader:
    """How one store is read for people."""

    index: TableIndex
    indexing: Indexing
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
        return cls(index, Indexing(index), pictures, watch, Thumbnails(pictures, watch))


def reading(request: Request) -> tuple[Contents, StoreReader]:
    """What the store holds now, and how it is read; the index knows all of it.

    IndexUnfinishedError: it does not yet; a page says so, and is asked for again by itself."""
    catalogue: Catalogue = request.app.state.catalogue
    contents = catalogue.contents()
    reader = reader_of(request.app, contents.store)
    reader.indexing.wait(contents, PATIENCE)
    return contents, reader


def begin_indexing(app: FastAPI) -> None:
    """Begin to index what the store holds, beside whatever else is done; returns at once."""
    threading.Thread(target=_index, args=(app,), name="index of tables", daemon=True).start()


def _index(app: FastAPI) -> None:
    with suppress(StageError, OSError, ValueError):  # the first page that needs it says so
        contents = app.state.catalogue.contents()
        reader_of(app, contents.store).indexing.wait(contents, math.inf)


def reader_of(app: FastAPI, store: Store) -> StoreReader:
    """The application's own reader of its store."""
    with _LOCK:
        if not hasattr(app.state, "reading"):
            app.state.reading = StoreReader.of(store)
        return app.state.reading


def artifact_of(contents: Contents, stage: str, fingerprint: str) -> Artifact:
    """The artifact of an address; "not found" where the store knows none."""
    artifact = contents.artifacts.get(fingerprint)
    if artifact is None or artifact.stage != stage:
        raise HTTPException(404, "The store knows no such artifact.")
    return artifact
