"""Byte ranges of tars on this machine, by memory map (mmap): each opened once, none read as a whole."""

import functools
import mmap
from collections.abc import Callable
from pathlib import Path

ReadRange = Callable[[str, int, int], bytes]
"""(name, offset, length) -> the bytes there; fewer where the file ends before."""

MAPS = 256
"""Files that stay mapped at a time; each holds a file descriptor, of which processes may have few."""


class LocalRanges:
    """A `ReadRange` whose names are paths; threads may share it.

    A file must not shrink while it is mapped. FileNotFoundError: there is no such file."""

    def __init__(self) -> None:
        self._map = functools.lru_cache(MAPS)(_map)

    def __call__(self, name: str, offset: int, length: int) -> bytes:
        return self._map(name)[offset : offset + length]


def _map(path: str) -> mmap.mmap | bytes:
    with Path(path).open("rb") as file:
        if not file.seek(0, 2):
            return b""  # an empty file cannot be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
