"""What every store can do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Listed:
    """One object of a listing: key, size in bytes, time of its last change (aware)."""

    key: str
    size: int
    modified: datetime


class Store(Protocol):
    """Objects by key. Keys are relative POSIX paths; an object never changes once it is there.

    Every operation may raise RetryableError (out of reach), NoSpaceError, DiskError, and ValueError (the
    credentials are refused); none leaves half an object.
    """

    url: str

    def create(self, key: str, data: bytes) -> bool:
        """Put a record if no object has this key; durable on return. False: somebody else's stands there.

        An object that has just these bytes is the record: the answer to an earlier try was lost, and the
        client, or the network file system, has tried again and met its own. So whoever must know who was
        first writes what nobody else would.
        """
        ...

    def put(self, key: str, path: Path) -> None:
        """Take over a local file in `scratch` under a key of its own; durable on return. Uses up the file."""
        ...

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, or what there is of a range of it; FileNotFoundError if there is none."""
        ...

    def exists(self, key: str) -> bool: ...

    def sha256(self, key: str) -> str:
        """Hash an object's bytes as they lie in the store now, past any cache; FileNotFoundError if none."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Objects below a folder-like prefix, sorted by key."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        ...

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        """A local file with the object's bytes: the object itself, or a copy in the verified cache.

        Raises:
            DamagedError: the object is missing, or has other bytes (a local tar: another size).
        """
        ...

    def uncache(self, sha256: str) -> None:
        """Delete this machine's copy of a remote object with these bytes, where there is one."""
        ...

    def scratch(self) -> Path:
        """A folder in which attempts make their working folders; made, if need be, for this user alone.

        Raises:
            ValueError: another user made it, or can write to it; says what to do.
        """
        ...


def stands(store: Store, key: str, data: bytes) -> bool:
    """Whether an object has just these bytes: after a create-only put was refused, or left unanswered."""
    try:
        return store.read(key) == data
    except FileNotFoundError:
        return False
