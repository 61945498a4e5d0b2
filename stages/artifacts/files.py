"""Files of artifacts and parts: where each lies in a store, what it should hash to, and how it is read."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import DamagedError
from stages.parquet_view import create_view
from stages.store import Store

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

THREADS = 4
"""Files that are fetched, or hashed, at once."""


@dataclass(frozen=True)
class FileEntry:
    """Where a file of an artifact lies: its key in the store, size in bytes and SHA-256 (hex)."""

    key: str
    size: int
    sha256: str


class Files:
    """Read access to named files of a store; shared by artifacts and parts."""

    def __init__(self, store: Store, files: Mapping[str, FileEntry]) -> None:
        self.store = store
        self.files = files

    def path(self, name: str) -> Path:
        """A local file with the bytes of file `name`; remote files come through the verified cache.

        Raises:
            DamagedError: the file is missing, or not what was published.
        """
        entry = self.entry(name)
        return self.store.fetch(entry.key, entry.sha256, entry.size)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of file `name`, or of a range of it, without fetching the whole file.

        Raises:
            DamagedError: the file is missing, or read as a whole it is not what was published. Of a range the
                reader must know what it should be.
        """
        entry = self.entry(name)
        try:
            data = self.store.read(entry.key, offset, length)
        except FileNotFoundError as error:
            raise DamagedError(
                f"{entry.key} is missing in {self.store.url}; restore it from a copy"
            ) from error
        if offset == 0 and length is None and (actual := hashlib.sha256(data).hexdigest()) != entry.sha256:
            raise DamagedError(
                f"{entry.key} in {self.store.url} should hash to {entry.sha256} and hashes to {actual}; "
                "restore it from a copy"
            )
        return data

    def has_table(self, name: str) -> bool:
        """Whether there is a table called `name`."""
        return f"{name}.parquet" in self.files

    def table_files(self, name: str) -> list[Path]:
        """Local Parquet files whose rows, one file after the other, are the table `name`.

        This alone knows in which files a table lies; who reads tables takes `scan`, `table` or `arrow_table`.

        Raises:
            ValueError: there is no such table.
            DamagedError: as `path`.
        """
        return [self.path(f"{name}.parquet")]

    def scan(self, db: "duckdb.DuckDBPyConnection", name: str, view: str = "") -> "duckdb.DuckDBPyRelation":
        """Let a table be a view of a DuckDB database: SQL reads it out of core, and of it only what it needs.

        Args:
            db: where the view is made; one of that name is replaced.
            name: of the table, as for `table`.
            view: what SQL calls it, where that is not the table's name without its folder.

        Returns:
            The view as a relation.
        """
        view = view or name.rpartition("/")[2]
        create_view(db, view, *self.table_files(name))
        return db.view(view)

    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] | None = None,
        rows: int | None = None,
    ) -> "pd.DataFrame":
        """A table as a data frame: `artifact.table("index", ["uid"], [("split", "=", "test")])`.

        Args:
            name: of the table: that of its file without ".parquet", "rejects", say, or "evidence/fetches".
            columns: those to read; None reads all.
            filters: (column, operator, value), of which a row must meet every one; the operators are =, !=,
                <, <=, >, >=, "in" and "not in".
            rows: how many at most; no more than these are decoded of a large table.
        """
        return self.arrow_table(name, columns, filters, rows).to_pandas()

    def arrow_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        filters: Sequence[tuple[str, str, object]] | None = None,
        rows: int | None = None,
    ) -> Any:
        """A table as a pa.Table, with the types of its file; arguments as of `table`."""
        # Only here, as pandas takes a second to import, and most callers read manifests alone.
        import pyarrow.dataset as ds
        import pyarrow.parquet as pq

        files: Any = ds.dataset(self.table_files(name), format="parquet", partitioning=None)
        query: dict[str, Any] = {
            "columns": list(columns) if columns is not None else None,
            "filter": pq.filters_to_expression(list(filters)) if filters else None,
        }
        return files.to_table(**query) if rows is None else files.head(rows, **query, batch_size=max(1, rows))

    def json(self, name: str) -> Any:
        """The value of a JSON file."""
        return json.loads(self.path(name).read_bytes())

    def lay(self, prefix: str, folder: Path) -> Path:
        """Lay the files whose names begin with a prefix below a folder, without the prefix, as links."""
        names = self.names(prefix)
        with ThreadPoolExecutor(THREADS) as threads:
            paths = list(threads.map(self.path, names))
        for name, path in zip(names, paths, strict=True):
            target = folder / name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
        return folder

    def names(self, prefix: str = "") -> list[str]:
        """Sorted names of the files that begin with a prefix."""
        return sorted(name for name in self.files if name.startswith(prefix))

    def entry(self, name: str) -> FileEntry:
        """Where file `name` lies; ValueError if there is none."""
        if name not in self.files:
            some = ", ".join(self.names()[:12])
            raise ValueError(f"there is no file {name!r}; there are: {some}")
        return self.files[name]
