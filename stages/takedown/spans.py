"""Byte spans: where pictures lie in files of artifacts, and how to find them in tars and arrays."""

import tarfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from stages.artifacts.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, order=True)
class Span:
    """A range of bytes of an artifact's file."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True, order=True)
class Drawing:
    """A file of an artifact that shows a picture, drawn among others: no range of bytes is the picture's
    own."""

    path: str


@dataclass(frozen=True)
class ArrayFile:
    """The header of an .npy file as `np.save` writes it."""

    shape: tuple[int, ...]
    dtype: "np.dtype[np.generic]"
    start: int
    """First byte of the data."""

    @classmethod
    def read(cls, path: Path) -> "ArrayFile":
        """The header of the file at a path."""
        import numpy as np  # only here: `stages.kind` imports this file, and traces need no arrays

        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            assert version == (1, 0), version
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            assert not fortran
            return cls(shape, dtype, file.tell())


def array_row(artifact: Artifact, file: str, row: int) -> Span:
    """Where a row of an array lies."""
    array = ArrayFile.read(artifact.path(file))
    length = prod(array.shape[1:]) * array.dtype.itemsize
    return Span(file, array.start + row * length, length)


def tar_members(artifact: Artifact, file: str, uids: AbstractSet[str]) -> Iterator[Span]:
    """The picture of each uid in a dataset's tar, and its captions and facts beside it."""
    with tarfile.open(artifact.path(file)) as tar:
        for member in tar:
            if Path(member.name).stem in uids:
                yield Span(file, member.offset_data, member.size)
