"""All pictures of a split at one size, decoded once into a file that processes share and a resume finds.

A set larger than `LIMIT` is not kept: its pictures are decoded each time they are seen.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sdmodel.data.index import Index
from sdmodel.data.pixels import decode

LIMIT = 16 * 2**30
"""Bytes of decoded pixels up to which a set is decoded once."""


class Pictures:
    """uint8 pictures by row. `read(rows)` gives (B, 3, S, S)."""

    def __init__(self, index: Index, size: int, kept: np.ndarray | None = None):
        self.index = index
        self.size = size
        self.kept = kept  # (N, S, S, 3) uint8
        self._threads = ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) if kept is None else None

    def __len__(self) -> int:
        return len(self.index)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(B, 3, S, S) uint8 of rows (B,). ValueError: a picture cannot be decoded."""
        if self.kept is not None:
            pictures = self.kept[rows]
        else:
            assert self._threads
            pictures = np.stack(
                list(self._threads.map(lambda row: decode_row(self.index, int(row), self.size), rows))
            )
        return pictures.transpose(0, 3, 1, 2)


def decode_row(index: Index, row: int, size: int) -> np.ndarray:
    """(S, S, 3) uint8 of one row. ValueError: it cannot be decoded; the message names the row."""
    data = index.bytes_of(row)
    try:
        return decode(data, size)
    except OSError as error:
        raise ValueError(
            f"{index.files[row]}: picture {index.uids[row]} cannot be decoded: {error}"
        ) from error


def decode_all(index: Index, size: int) -> Pictures:
    """All pictures in memory; for sets that are known to be small."""
    return Pictures(index, size, np.stack([decode_row(index, row, size) for row in range(len(index))]))


def decode_shared(
    index: Index,
    size: int,
    folder: Path,
    rank: int = 0,
    world: int = 1,
    wait: Callable[[], None] = lambda: None,
) -> Pictures:
    """Decodes once into `folder`, each of `world` processes its share; a later call maps what is there.

    wait: a barrier of all processes."""
    if len(index) * size * size * 3 > LIMIT:
        return Pictures(index, size)
    name = hashlib.sha256(repr((size, index.uids, index.lengths.tolist())).encode()).hexdigest()[:16]
    done, half = folder / f"pictures-{name}.npy", folder / f"pictures-{name}.half.npy"
    shape = (len(index), size, size, 3)
    held = done.exists()
    wait()  # all have looked before one makes it appear
    if not held:
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(half, mode="w+", dtype=np.uint8, shape=shape).flush()
        wait()
        pixels = np.lib.format.open_memmap(half, mode="r+")
        for row in range(rank, len(index), world):
            pixels[row] = decode_row(index, row, size)
        pixels.flush()
        wait()
        if rank == 0:
            with half.open("r+b") as file:
                os.fsync(file.fileno())
            half.rename(done)
        wait()
    return Pictures(index, size, np.load(done, mmap_mode="r"))
