"""A store in object storage or in memory, on obstore: create-only by conditional put, read through cache."""

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from stages.errors import RetryableError
from stages.store.cache import Cache
from stages.store.interface import Listed


class RemoteStore:
    """An obstore store: s3://, gs://, az:// or memory://, read through one local cache."""

    def __init__(self, url: str, store: "obstore.store.ObjectStore", cache: Cache | None = None) -> None:
        self.url = url
        self._store = store
        self._cache = cache or Cache.default()

    def create(self, key: str, data: bytes) -> bool:
        with _translated(self.url, key):
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def put(self, key: str, path: Path) -> None:
        with _translated(self.url, key):
            obstore.put(self._store, key, path)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with _translated(self.url, key):
            if offset == 0 and length is None:
                return bytes(obstore.get(self._store, key).bytes())
            if length is None:
                length = obstore.head(self._store, key)["size"] - offset
            return bytes(obstore.get_range(self._store, key, start=offset, length=length)) if length else b""

    def exists(self, key: str) -> bool:
        with _translated(self.url, key):
            try:
                obstore.head(self._store, key)
            except FileNotFoundError:
                return False
        return True

    def list(self, prefix: str) -> Iterator[Listed]:
        with _translated(self.url, prefix):
            found = [meta for batch in obstore.list(self._store, prefix) for meta in batch]
        for meta in sorted(found, key=lambda meta: meta["path"]):
            yield Listed(meta["path"], meta["size"], meta["last_modified"])

    def delete(self, keys: Iterable[str]) -> None:
        with _translated(self.url, "several keys"):
            for key in keys:
                try:
                    obstore.delete(self._store, key)
                except FileNotFoundError:
                    continue

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        def download(path: Path) -> None:
            with _translated(self.url, key), path.open("wb") as file:
                for chunk in obstore.get(self._store, key).stream():
                    file.write(chunk)

        return self._cache.get(sha256, size, download, origin=f"{self.url}/{key}")

    def scratch(self) -> Path:
        return Path(gettempdir()) / f"sdflow-{os.getuid()}"


@contextmanager
def _translated(url: str, key: str) -> Generator[None]:
    """obstore tries again by itself; what it still raises may pass later."""
    try:
        yield
    except (FileNotFoundError, AlreadyExistsError):
        raise
    except (BaseError, OSError) as error:
        words = str(error).split("\n", 1)[0]
        raise RetryableError(f"store {url} did not answer for {key}: {words}") from error
