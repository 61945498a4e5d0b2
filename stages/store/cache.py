"""The local cache of remote files: keyed by content, verified on arrival, capped in size."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from stages.errors import DamagedError
from stages.fingerprint import sha256_of


class Cache:
    """Files by SHA-256 below one folder, the least recently used leaving first.

    A file that this process asked for stays while it runs, even above the limit: somebody may hold its path.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """A cache.

        Args:
            folder: where the files lie; made when needed. Several processes may share it.
            limit: bytes that it may hold.
        """
        self.folder = folder
        self.limit = limit
        self._asked: set[str] = set()

    @classmethod
    def default(cls) -> "Cache":
        """The folder of SDFLOW_CACHE, else ~/.cache/sdflow; SDFLOW_CACHE_BYTES, else 50 GB."""
        folder = os.environ.get("SDFLOW_CACHE") or Path.home() / ".cache" / "sdflow"
        return cls(Path(folder), int(os.environ.get("SDFLOW_CACHE_BYTES", 50_000_000_000)))

    def get(self, sha256: str, size: int, download: Callable[[Path], None], origin: str) -> Path:
        """The file with this hash; downloaded and verified where it is not held.

        Args:
            sha256: of the whole file, 64 hex digits.
            size: of the file, bytes; room is made for it first.
            download: writes the file to the path that it is given.
            origin: what error messages call the file.

        Raises:
            DamagedError: other bytes arrived; nothing is kept of them.
        """
        path = self.folder / sha256[:2] / sha256
        self._asked.add(sha256)
        if path.is_file():
            os.utime(path)  # use counts as recent
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_room(size)
        aside = path.with_name(f"{sha256}.{uuid.uuid4().hex}")
        try:
            download(aside)
            found = sha256_of(aside)
            if found != sha256:
                raise DamagedError(
                    f"{origin} should hash to {sha256} and hashes to {found}; restore it from a copy"
                )
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        return path

    def _make_room(self, size: int) -> None:
        held = [
            (path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("??/" + "?" * 64)
        ]
        excess = sum(size for _, size, _ in held) + size - self.limit
        for _, bytes_held, path in sorted(held):
            if excess <= 0:
                break
            if path.name not in self._asked:
                path.unlink(missing_ok=True)
                excess -= bytes_held
