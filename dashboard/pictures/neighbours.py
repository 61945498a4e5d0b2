"""Nearest neighbours of a picture by its embedding: cosines with all others of the same result, in chunks of
memory-mapped arrays, so that memory stays small however many there are."""

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.pictures.reader import StoreReader
from dashboard.tables.index import select
from stages.artifacts.artifact import Artifact
from stages.kind import VectorTable
from stages.registry import kinds

CHUNK = 16_384
"""Rows that are multiplied at once."""
NEAREST = 12


@dataclass(frozen=True)
class Neighbour:
    """A picture near another."""

    uid: str
    cosine: float


def neighbours(reader: StoreReader, artifact: Artifact, uid: str, count: int = NEAREST) -> list[Neighbour]:
    """The pictures of a result whose embeddings are nearest to a picture's, nearest first, without itself.

    Args:
        reader: of the store.
        artifact: with embeddings, of unit length.
        uid: of the picture; none are near where the result has no embedding of it, or it was purged.
        count: how many.
    """
    kind = kinds().get(artifact.kind)
    if kind is None or kind.vectors is None:
        raise ValueError(f"{artifact.short_name} has no embeddings")
    where = kind.vectors
    with reader.index.database.cursor() as db:
        own = select(db, reader.index, artifact, where.table, "uid = ?", [uid])
        if not own:
            return []
        row = own[0]
        vector = _array(artifact, row["file"])[row[where.row]].astype(np.float32)
        if not np.any(vector):
            return []
        best: list[tuple[float, str, int]] = []
        files = [name for (name,) in db.execute("SELECT DISTINCT file FROM selected ORDER BY 1").fetchall()]
        for file in files:
            array = _array(artifact, file)
            for start in range(0, len(array), CHUNK):
                cosines = array[start : start + CHUNK].astype(np.float32) @ vector  # (rows,)
                top = np.argpartition(-cosines, min(count, len(cosines) - 1))[: count + 1]
                candidates = [(float(cosines[place]), file, start + int(place)) for place in top]
                best = heapq.nlargest(count + 1, best + candidates)
        return _named(db, where, best, uid)[:count]


def _array(artifact: Artifact, file: str) -> Any:
    return np.load(artifact.path(file), mmap_mode="r", allow_pickle=False)


def _named(db: Any, where: VectorTable, best: list[tuple[float, str, int]], uid: str) -> list[Neighbour]:
    """The pictures of some rows of arrays, without one."""
    marks = " OR ".join([f'(file = ? AND "{where.row}" = ?)'] * len(best))
    values = [value for _, file, row in best for value in (file, row)]
    query = f'SELECT file, "{where.row}", uid FROM selected WHERE {marks}'
    uids = {(file, row): name for file, row, name in db.execute(query, values).fetchall()}
    return [
        Neighbour(uids[file, row], min(1.0, cosine))
        for cosine, file, row in best
        if (file, row) in uids and uids[file, row] != uid
    ]
