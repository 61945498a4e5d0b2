"""The tables of a finished collection: its pictures, its rejects and why, and the record of its fetches."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Funnel
from stages.collect.outcomes import FETCHES
from stages.collect.state import CollectionState
from stages.record import IMAGES, REJECTS

_GROUP = 100_000
"""Rows of a row group of a result ..."""
_GROUP_BYTES = 128 << 20
"""... unless captions are so long that fewer are held at a time."""


def write_results(state: CollectionState, images: Path, rejects: Path) -> Funnel:
    """Write the two result tables of a settled collection; the funnel over all rows."""
    pictures = _write(state.images(), images, IMAGES)
    _write(state.rejects(), rejects, REJECTS)
    return Funnel(state.rows("SELECT count(*) FROM taken")[0][0], pictures, state.reasons())


def write_evidence(state: CollectionState, fetches: Path, hosts: Path) -> None:
    """Write the last fetch of every URL that is collected today, and what they come to by host."""
    _write(state.fetches(), fetches, FETCHES)
    state.write_hosts(hosts)


def _write(batches: Iterable[Any], path: Path, schema: Any) -> int:
    rows = 0
    group: list[Any] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_batches(group, schema))
            group.clear()

        for batch in batches:
            group.append(batch.cast(schema))
            rows += len(batch)
            if sum(map(len, group)) >= _GROUP or sum(piece.nbytes for piece in group) >= _GROUP_BYTES:
                write()
        if group:
            write()
    return rows
