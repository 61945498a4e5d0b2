"""A store in a local folder: durable by fsync, create-only by link."""

import os
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from stages.store.interface import Listed


class FolderStore:
    """Objects as files below a root; `tmp/` beside them holds what is not published yet."""

    def __init__(self, root: Path, *, make: bool = True) -> None:
        """Open a folder.

        Raises:
            ValueError: the root is a file, cannot be made, or is missing and `make` is False.
        """
        self.root = root
        self.url = str(root)
        try:
            if make:
                (root / "tmp").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"store {root} cannot be made: {error.strerror}; name a folder that can be written"
            ) from error
        if not root.is_dir():
            raise ValueError(f"there is no store at {root}; name the folder that a run wrote to")

    def create(self, key: str, data: bytes) -> bool:
        aside = self._aside()
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            target = self._place(key)
            try:
                os.link(aside, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
        finally:
            aside.unlink(missing_ok=True)
        return True

    def put(self, key: str, path: Path) -> None:
        target = self._place(key)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.rename(target)  # `scratch` is on this file system, so that nothing is copied
        _sync_folder(target.parent)

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._path(key).open("rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[Listed]:
        below = self._path(prefix.rstrip("/")) if prefix else self.root
        for path in sorted(below.rglob("*")):
            try:
                status = path.stat()
            except FileNotFoundError:  # deleted since
                continue
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and not key.startswith("tmp/"):
                yield Listed(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            for parent in path.parents:  # empty folders are nobody's
                if parent == self.root:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break

    def fetch(self, key: str, sha256: str, size: int) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is named by a manifest and is not there")
        return path

    def scratch(self) -> Path:
        return self.root / "tmp"

    def _path(self, key: str) -> Path:
        path = self.root / key
        assert ".." not in path.parts, key
        return path

    def _place(self, key: str) -> Path:
        target = self._path(key)
        missing = [parent for parent in target.parents if not parent.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _sync_folder(folder.parent)
        return target

    def _aside(self) -> Path:
        (self.root / "tmp").mkdir(exist_ok=True)
        return self.root / "tmp" / uuid.uuid4().hex


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
