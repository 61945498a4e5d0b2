"""A store that was opened for reading: nobody has proved that it can be published to, so it refuses to
write."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from stages.store.interface import Listed, Store


class ReadOnlyStore:
    """Another store, without its changes: `create`, `put` and `delete` raise ValueError."""

    def __init__(self, store: Store) -> None:
        self.url = store.url
        self._store = store

    def create(self, key: str, data: bytes) -> bool:
        self._refuse(key)

    def put(self, key: str, path: Path) -> None:
        self._refuse(key)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._refuse(key)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._store.read(key, offset, length)

    def exists(self, key: str) -> bool:
        return self._store.exists(key)

    def sha256(self, key: str) -> str:
        return self._store.sha256(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self._store.list(prefix)

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        return self._store.fetch(key, sha256, size)

    def uncache(self, sha256: str) -> None:
        self._store.uncache(sha256)

    def scratch(self) -> Path:
        return self._store.scratch()

    def _refuse(self, key: str) -> NoReturn:
        raise ValueError(
            f"store {self.url} was opened for reading, and {key} cannot be changed in it; open it with "
            "open_store(url), which proves that publishing there is safe"
        )
