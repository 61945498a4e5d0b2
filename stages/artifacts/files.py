"""Files of artifacts and parts: where each lies in a store, what it should hash to, and how it is read."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.errors import DamagedError
from stages.store import Store

if TYPE_CHECKING:
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

    def table(self, name: str) -> "pd.DataFrame":
        """The table of file `name` + ".parquet"."""
        # Only here, as pandas takes a second to import, and most callers read manifests alone.
        import pyarrow.parquet as pq

        return pq.read_table(self.path(f"{name}.parquet")).to_pandas()

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
