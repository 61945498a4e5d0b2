"""A store in a local folder: durable by fsync, create-only by link."""

import os
import stat
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from stages.errors import DamagedError, naming_disk_faults
from stages.fingerprint import sha256_of
from stages.regular_file import open_regular
from stages.store.interface import Listed, stands
from stages.store.private import private_folder
from stages.store.verified import CHECKED_BY_READERS, hash_once

SCRATCH = "tmp-"
"""How the folders begin in which users work, one each: the user's number follows."""


class FolderStore:
    """Objects as files below a root; `tmp-USER/` beside them holds what that user has not published yet."""

    def __init__(self, root: Path, *, make: bool = True) -> None:
        """Open a folder.

        Raises:
            ValueError: the root is a file, cannot be made, or is missing and `make` is False; others can
                write where unpublished work would lie; its path has a backslash.
        """
        self.root = root
        self.url = str(root)
        self._durable = {root}  # folders that this process knows to survive a power failure
        if make and "\\" in self.url:
            raise ValueError(
                f"store {root} has a backslash in its path, which DuckDB takes for a slash; rename"
            )
        try:
            if make:
                self.scratch()
        except OSError as error:
            raise ValueError(
                f"store {root} cannot be made: {error.strerror}; name a folder that can be written"
            ) from error
        if not root.is_dir():
            raise ValueError(f"there is no store at {root}; name the folder that a run wrote to")

    def create(self, key: str, data: bytes) -> bool:
        with self._writing(key):
            aside = self.scratch() / uuid.uuid4().hex
            try:
                with aside.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                self._place(aside, key, os.link)
            except FileExistsError:
                if not stands(self, key, data):
                    return False
                self._secure(self._path(key))
            finally:
                aside.unlink(missing_ok=True)
        return True

    def put(self, key: str, path: Path) -> None:
        with self._writing(key):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.chmod(0o444)  # `fetch` hands out the object itself
            self._place(path, key, os.rename)  # `scratch` is on this file system, so that nothing is copied

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._disk(key), open_regular(self._path(key)) as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)

    def exists(self, key: str) -> bool:
        return self._size(key) is not None

    def sha256(self, key: str) -> str:
        with self._disk(key):
            return sha256_of(self._path(key))

    def list(self, prefix: str) -> Iterator[Listed]:
        below = self._path(prefix.rstrip("/")) if prefix else self.root
        keys: list[str] = []
        with self._disk(prefix):
            for folder, folders, files in os.walk(below, onerror=_refuse_all_but_missing):
                here = Path(folder)
                if here == self.root:
                    folders[:] = [name for name in folders if not name.startswith(SCRATCH)]
                keys += [(here / name).relative_to(self.root).as_posix() for name in files]
        for key in sorted(keys):
            try:
                with self._disk(key):
                    status = self._path(key).stat()
            except FileNotFoundError:  # deleted since
                continue
            yield Listed(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            with self._writing(key):
                path.unlink(missing_ok=True)
            for parent in path.parents:  # empty folders are nobody's
                if parent == self.root:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break
                self._durable.discard(parent)

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        path = self._path(key)
        actual = self._size(key)
        if actual != size:
            says = "is missing" if actual is None else f"has {actual} bytes"
            raise DamagedError(f"{path} should have {size} bytes and {says}; restore it from a copy")
        if not key.endswith(CHECKED_BY_READERS) and (hashed := hash_once(path)) != sha256:
            raise DamagedError(
                f"{path} should hash to {sha256} and hashes to {hashed}; `sdflow verify` names all that is "
                "damaged; restore it from a copy"
            )
        return path

    def uncache(self, sha256: str) -> None:
        """Nothing is copied: `fetch` gives the object itself."""

    def scratch(self) -> Path:
        # Of each user their own, so that several can share a store.
        return private_folder(self.root / f"{SCRATCH}{os.geteuid()}", "name a store of your own")

    def _disk(self, key: str) -> AbstractContextManager[None]:
        return naming_disk_faults(f"store {self.url}, {key or 'all of it'}")

    @contextmanager
    def _writing(self, key: str) -> Generator[None]:
        try:
            with self._disk(key):
                yield
        except PermissionError as error:
            raise ValueError(
                f"store {self.url} cannot be written ({error}); check its permissions, or choose another"
            ) from error

    def _size(self, key: str) -> int | None:
        """Bytes of an object; None where there is none. What cannot be told is an error, never "none"."""
        with self._disk(key):
            try:
                status = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _path(self, key: str) -> Path:
        path = self.root / key
        assert ".." not in path.parts, key
        return path

    def _place(self, source: Path, key: str, move: Callable[[Path, Path], None]) -> None:
        """Move something to its key, for good: its name and those of the folders above it survive a crash."""
        target = self._path(key)
        for _ in range(100):
            # Whoever deletes the last file of a folder deletes the folder too, perhaps right now: try again.
            with suppress(FileNotFoundError, FileExistsError):
                target.parent.mkdir(parents=True, exist_ok=True)
            try:
                move(source, target)
                break
            except FileNotFoundError:
                if not source.exists():
                    if target.exists():  # a network file system's first try did it, and its answer was lost
                        break
                    raise
        self._secure(target)

    def _secure(self, target: Path) -> None:
        for folder in target.parents:
            _sync(folder)
            if folder in self._durable:
                break
            self._durable.add(folder)


def _refuse_all_but_missing(error: OSError) -> None:
    """A folder that vanished meanwhile is passed over; one that cannot be read must not look empty."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _sync(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # what was placed in it is deleted already
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
