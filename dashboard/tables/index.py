"""An index of tables: which of them have a row of a picture, and copies in which a row is near.

Stages write a table as one Parquet row group of up to a million rows, so that one row costs a look at all of
them. Here each table gets, once, a sorted array of the leading 64 bits of its uids (and of its SHA-256s), by
which thousands of tables are asked in milliseconds; a large table gets a sorted copy in small row groups
besides, of which a query by uid reads one. All of it can be made again: it lies in a cache folder, by the
SHA-256 of the table, and what no table of the store needs any more is deleted.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dashboard.catalogue import Contents
from dashboard.tables.database import Database, temporary_view
from stages.artifacts.artifact import Artifact
from stages.errors import StageError
from stages.parquet_view import literal
from stages.registry import kinds
from stages.store.private import private_folder

LARGE = 2_000_000
"""Bytes of a Parquet file above which it is copied, sorted."""
GROUP = 20_480
"""Rows of a row group of a copy."""
DIGITS = 16
"""Leading hex digits of a uid or a SHA-256 that an array has, as 64 bits."""
COPIED = ("uid", "url")
"""Columns by which a large table is sorted, the first that it has."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holding:
    """A table with rows whose uid, or whose SHA-256, begins with what was looked for."""

    artifact: Artifact
    table: str
    """Name of the file without ".parquet"."""
    uids: tuple[str, ...] = ()
    """Leading 16 hex digits of the uids of these rows, a few at most."""


@dataclass(frozen=True)
class IndexCost:
    """What an index costs."""

    tables: int
    rows: int
    size: int
    """Bytes on disk."""
    seconds: float
    """That the last update took."""


Keys = NDArray[np.uint64]


class TableIndex:
    """The index of a store's tables; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """An index in a folder of its own, which is made when needed."""
        self.folder = folder
        self.database = Database()
        self.cost = IndexCost(0, 0, 0, 0.0)
        self._lock = threading.Lock()
        self.version = ""
        """Of the contents that it knows; "" before there are any."""
        self.progress = (0, 0)
        """Results that the update at work has gone through, and all of them."""
        self._arrays: dict[str, Keys] = {}
        self._places: dict[str, list[tuple[str, str, Keys]]] = {"uid": [], "sha256": []}

    def update(self, contents: Contents) -> None:
        """Take in what a store holds now; quick where nothing is new."""
        with self._lock:
            if contents.version == self.version:
                return
            began = time.monotonic()
            private_folder(self.folder, "give the cache another folder (SDFLOW_CACHE)")
            places: dict[str, list[tuple[str, str, Keys]]] = {"uid": [], "sha256": []}
            used: set[str] = set()
            made = 0
            for number, artifact in enumerate(contents.artifacts.values()):
                self.progress = (number, len(contents.artifacts))
                for table in traced_tables(artifact):
                    try:
                        made += self._add(artifact, table, places, used)
                    except StageError as error:  # a damaged table is told of by the pages of its artifact
                        LOG.warning("%s: %s is left out of the index: %s", artifact.short_name, table, error)
            self._arrays = {name: keys for name, keys in self._arrays.items() if name in used}
            size = self._sweep(used)
            self._places, self.version = places, contents.version
            rows = sum(keys.shape[-1] for _, _, keys in places["uid"])
            self.cost = IndexCost(len(places["uid"]), rows, size, time.monotonic() - began)
            if made:
                LOG.info("index of tables: %s", self.cost)

    def holders(self, contents: Contents, column: str, digits: str) -> list[Holding]:
        """Tables with rows whose uid or SHA-256 (`column`) begins like some hex digits, of which the first 16
        count; the newest artifacts come first."""
        begin = int(digits[:DIGITS].ljust(DIGITS, "0"), 16)
        end = int(digits[:DIGITS].ljust(DIGITS, "f"), 16)
        holdings: list[Holding] = []
        for fingerprint, table, keys in reversed(self._places[column]):
            sought = keys if keys.ndim == 1 else keys[0]
            first = int(np.searchsorted(sought, np.uint64(begin), "left"))
            last = int(np.searchsorted(sought, np.uint64(end), "right"))
            if first < last and fingerprint in contents.artifacts:
                own = (keys if keys.ndim == 1 else keys[1])[first : min(last, first + 16)]
                uids = tuple(f"{int(key):016x}" for key in own)
                holdings.append(Holding(contents.artifacts[fingerprint], table, uids))
        return holdings

    def scan(self, db: Any, artifact: Artifact, table: str, view: str) -> None:
        """Let a view of a DuckDB database have the rows of a table, from its sorted copy where it has one."""
        copy = self._copy(artifact, table)
        paths = [copy] if copy.exists() else artifact.table_files(table)
        temporary_view(db, view, *paths)

    def _copy(self, artifact: Artifact, table: str) -> Path:
        return self.folder / f"{artifact.entry(f'{table}.parquet').sha256}.parquet"

    def _add(
        self,
        artifact: Artifact,
        table: str,
        places: dict[str, list[tuple[str, str, Keys]]],
        used: set[str],
    ) -> int:
        """Index a table; 1 where that was not done before."""
        entry = artifact.entry(f"{table}.parquet")
        copy, done = self._copy(artifact, table), 0
        if entry.size >= LARGE:
            used.add(copy.name)
            done = 0 if copy.exists() else self._sorted(artifact, table, copy)
        for column in places:
            name = f"{entry.sha256}.{column}.npy"
            if name not in self._arrays:
                path = self.folder / name
                if not path.exists():
                    _save(path, leading(artifact, table, column))
                    done = 1
                keys = np.load(path, mmap_mode="r") if path.stat().st_size > 65_536 else np.load(path)
                self._arrays[name] = keys
            used.add(name)
            if self._arrays[name].size:
                places[column].append((artifact.fingerprint, table, self._arrays[name]))
        return done

    def _sorted(self, artifact: Artifact, table: str, copy: Path) -> int:
        """Write a sorted copy of a table in small row groups; 0 where it has no column to sort it by."""
        with self.database.cursor() as db:
            temporary_view(db, "whole", *artifact.table_files(table))
            names = columns_of(db, "whole")
            by = next((column for column in COPIED if column in names), "")
            if not by:
                return 0
            aside = copy.with_suffix(f".{uuid.uuid4().hex}")
            options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP}"
            db.execute(f"COPY (FROM whole ORDER BY {by}) TO {literal(str(aside))} ({options})")
            aside.replace(copy)
        return 1

    def _sweep(self, used: set[str]) -> int:
        """Delete what nobody needs any more; the bytes of what is left."""
        size = 0
        for path in self.folder.iterdir():
            if path.name in used:
                size += path.stat().st_size
            elif time.time() - path.stat().st_mtime > 3600:  # else another process may be writing it
                path.unlink(missing_ok=True)
        return size


def traced_tables(artifact: Artifact) -> Iterator[str]:
    """Tables of an artifact that a trace reads, and large ones with a column of URLs, which it looks up."""
    if artifact.dropped is not None or artifact.kind not in kinds():
        return
    named = [trace.table for trace in kinds()[artifact.kind].trace if artifact.has_table(trace.table)]
    yield from dict.fromkeys(named)
    if named:
        for name in artifact.names("evidence/"):
            if name.endswith(".parquet") and artifact.files[name].size >= LARGE:
                yield name.removesuffix(".parquet")


def leading(artifact: Artifact, table: str, column: str) -> Keys:
    """The leading 64 bits of a column's values, sorted: (rows,). Of another column than `uid` also those of
    the uids beside them: (2, rows). Without rows where a table lacks the column; values that are no hex
    digits are left out."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = artifact.table_files(table)[0]
    names = list(dict.fromkeys([column, "uid"]))
    if not set(names) <= set(pq.read_schema(path).names):
        return np.zeros(0, np.uint64)
    rows: Any = pq.ParquetFile(path).read(columns=names)
    compute: Any = pc
    for name in names:
        hexadecimal = compute.match_substring_regex(rows.column(name), "^[0-9a-f]{32}")
        rows = rows.filter(compute.fill_null(hexadecimal, False))
    arrays: list[Keys] = []
    for name in names:
        digits = "".join(compute.utf8_slice_codeunits(rows.column(name), 0, DIGITS).to_pylist())
        arrays.append(np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64))
    if column == "uid":
        return np.sort(arrays[0])
    return np.stack(arrays)[:, np.argsort(arrays[0], kind="stable")]


def select(
    db: Any, index: TableIndex, artifact: Artifact, table: str, condition: str, values: Sequence[object] = ()
) -> list[dict[str, Any]]:
    """The rows of a table that meet an SQL condition; `values` are for its question marks."""
    index.scan(db, artifact, table, "selected")
    cursor = db.execute(f"SELECT * FROM selected WHERE {condition}", list(values))
    names = [name for name, *_ in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def columns_of(db: Any, view: str) -> Mapping[str, str]:
    """Column -> its type in SQL, of a view."""
    return {row[0]: str(row[1]) for row in db.execute(f"DESCRIBE {view}").fetchall()}


def _save(path: Path, keys: Keys) -> None:
    aside = path.with_suffix(f".{uuid.uuid4().hex}")
    with aside.open("wb") as file:
        np.save(file, keys)
    aside.replace(path)
