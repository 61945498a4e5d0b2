"""Pictures that arrive in any order, packed into one tar whose bytes depend on the pictures alone."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Place:
    """Where a picture's bytes lie: artifact file, offset of the member's data in it, length; bytes."""

    file: str
    offset: int
    length: int


class Pack:
    """Spools pictures to disk as they come, so that memory holds one at a time; writes them sorted by hash.

    The same bytes under many names are stored once.
    """

    def __init__(self, spool: Path) -> None:
        """A pack.

        Args:
            spool: a file of its own, made and deleted here.
        """
        self._path = spool
        self._spool = spool.open("xb+")
        self._spans: dict[str, tuple[str, int, int]] = {}
        """sha256 -> extension, offset and length in the spool."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()
        self._path.unlink(missing_ok=True)

    def add(self, sha256: str, extension: str, data: bytes) -> None:
        """Take a picture in, unless its bytes are here already."""
        if sha256 not in self._spans:
            self._spans[sha256] = (extension, self._spool.tell(), len(data))
            self._spool.write(data)

    def write(self, folder: Path) -> dict[str, Place]:
        """Write `folder`/tars/<first 16 hex digits of its SHA-256>.tar; SHA-256 of each picture -> its place.

        Members are called by their pictures' SHA-256. Nothing is written where there is no picture.
        """
        if not self._spans:
            return {}
        (folder / "tars").mkdir(exist_ok=True)
        aside = folder / "tars" / "unnamed"
        spans: dict[str, tuple[int, int]] = {}
        with tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sha256, (extension, start, length) in sorted(self._spans.items()):
                self._spool.seek(start)
                member = tarfile.TarInfo(f"{sha256}.{extension}")
                member.size = length
                member.mtime = 0  # the same pictures, the same bytes
                spans[sha256] = (tar.offset + tarfile.BLOCKSIZE, length)
                tar.addfile(member, io.BytesIO(self._spool.read(length)))
        with aside.open("rb") as file:
            name = f"tars/{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.tar"
        aside.rename(folder / name)
        return {sha256: Place(name, *span) for sha256, span in spans.items()}
