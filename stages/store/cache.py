"""The local cache of remote files: keyed by content, verified on arrival, capped in size."""

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from stages.errors import DamagedError, naming_disk_faults
from stages.fingerprint import sha256_of
from stages.store.private import private_folder
from stages.store.verified import CHECKED_BY_READERS

# Files that this process has hashed, with their inodes.
_HASHED: set[tuple[Path, int]] = set()
# Cache folder -> this process's note, and what is on it.
_IN_USE: dict[Path, tuple[TextIOWrapper, set[str]]] = {}

ABANDONED = 86_400.0
"""Seconds after which a download that did not end is nobody's."""


class Cache:
    """Files by SHA-256 below one folder, the least recently used leaving first; processes may share it.

    A file that was asked for stays for as long as the asking process runs, even above the limit: somebody may
    hold its path. Each process notes what it asked for in `asked/`, in a file that it keeps locked; the lock
    ends with the process, however that ends.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """A cache.

        Args:
            folder: where the files lie; made when needed.
            limit: bytes that it may hold.
        """
        self.folder = folder
        self.limit = limit

    @classmethod
    def default(cls) -> "Cache":
        """The folder of SDFLOW_CACHE, else ~/.cache/sdflow; SDFLOW_CACHE_BYTES, else 50 GB."""
        folder = os.environ.get("SDFLOW_CACHE") or Path.home() / ".cache" / "sdflow"
        limit = os.environ.get("SDFLOW_CACHE_BYTES", "50_000_000_000")
        try:
            return cls(Path(folder), int(limit))
        except ValueError as error:
            raise ValueError(f"SDFLOW_CACHE_BYTES is {limit!r}; give a whole number of bytes") from error

    def get(self, sha256: str, size: int, download: Callable[[Path], None], origin: str) -> Path:
        """The file with this hash; downloaded and verified where it is not held, or held damaged.

        A held file is hashed on its first use in a process, but for tars, whose pictures are checked as they
        are read.

        Args:
            sha256: of the whole file, 64 hex digits.
            size: of the file, bytes; room is made for it first.
            download: writes the file to the path that it is given.
            origin: what error messages call the file.

        Raises:
            DamagedError: other bytes arrived; nothing is kept of them.
            NoSpaceError: the cache's disk is full.
        """
        path = self.folder / "files" / sha256[:2] / sha256
        aside = self.folder / "arriving" / uuid.uuid4().hex
        with naming_disk_faults(f"the cache {self.folder}"):
            try:
                # A link is the user's own way to another disk; what it leads to must be theirs as well.
                private_folder(self.folder.resolve(), "set SDFLOW_CACHE to another")
                for folder in (path.parent, aside.parent, self.folder / "asked"):
                    folder.mkdir(parents=True, exist_ok=True)
            except (PermissionError, FileExistsError, NotADirectoryError) as error:
                raise ValueError(
                    f"the cache {self.folder} cannot be written ({error}); set SDFLOW_CACHE to another"
                ) from error
            with self._locked():
                self._ask(sha256)
                present = path.is_file() and path.stat().st_size == size
                if present:
                    os.utime(path)  # use counts as recent
            if present and (origin.endswith(CHECKED_BY_READERS) or _is_whole(path, sha256)):
                return path
            with self._locked():
                self._make_room(size)
            try:
                download(aside)
                actual = sha256_of(aside)
                if actual != sha256:
                    raise DamagedError(
                        f"{origin} should hash to {sha256} and hashes to {actual}; restore it from a copy"
                    )
                with aside.open("rb") as file:
                    os.fsync(file.fileno())  # else a power failure could leave the name without the bytes
                aside.rename(path)
                _HASHED.add((path, path.stat().st_ino))
            finally:
                aside.unlink(missing_ok=True)
        return path

    def drop(self, sha256: str) -> None:
        """Delete the file with this hash, if it is held; whoever has it open reads it to the end."""
        (self.folder / "files" / sha256[:2] / sha256).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One process at a time looks a file up, or lets files leave."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _ask(self, sha256: str) -> None:
        if self.folder not in _IN_USE:
            note = (self.folder / "asked" / uuid.uuid4().hex).open("x")
            fcntl.flock(note, fcntl.LOCK_EX)
            _IN_USE[self.folder] = note, set()
        note, noted = _IN_USE[self.folder]
        if sha256 not in noted:
            noted.add(sha256)
            note.write(f"{sha256}\n")
            note.flush()

    def _make_room(self, size: int) -> None:
        for path in (self.folder / "arriving").iterdir():
            with suppress(FileNotFoundError):  # it has arrived
                if path.stat().st_mtime < time.time() - ABANDONED:
                    path.unlink()
        files = [
            (status.st_mtime, status.st_size, path)
            for path in (self.folder / "files").glob("*/*")
            if (status := path.stat())
        ]
        excess = sum(file_bytes for _, file_bytes, _ in files) + size - self.limit
        if excess <= 0:
            return
        in_use = self._in_use()
        for _, file_bytes, path in sorted(files):
            if excess > 0 and path.name not in in_use:
                path.unlink()
                excess -= file_bytes

    def _in_use(self) -> set[str]:
        """What living processes asked for; the notes of ended ones are dropped."""
        used: set[str] = set()
        for path in (self.folder / "asked").iterdir():
            with path.open() as note:
                try:
                    fcntl.flock(note, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    used.update(note.read().split())
                else:
                    path.unlink()
        return used


def _is_whole(path: Path, sha256: str) -> bool:
    """Whether a held file is what it is called; its inode stands for it, since use changes its time."""
    known = (path, path.stat().st_ino)
    if known in _HASHED:
        return True
    if sha256_of(path) != sha256:
        return False
    _HASHED.add(known)
    return True
