"""A cache of decoded pictures: files that processes share and that a resume reads again."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index
from sdmodel.data.pictures import PLAIN, PictureReader, Pictures, decode_row


def decode_shared(
    index: Index,
    size: int,
    folder: Path,
    rank: int = 0,
    world: int = 1,
    wait: Callable[[], None] = lambda: None,
    data: DataConfig = PLAIN,
) -> PictureReader:
    """Decodes once into `folder`, each of `world` processes its share; a later call maps what is there.

    A set of more than data.memory GiB is not cached: its pictures are decoded each time they are seen.
    wait: a barrier of all processes. ValueError: a picture cannot be decoded, or as `Pictures` says."""
    threads = data.workers or max(1, min(16, (os.cpu_count() or 1) // world))
    pictures = Pictures(index, size, data, threads)
    members = [pictures.members(bucket) for bucket in range(len(pictures.shapes))]
    shapes = [(len(rows), *side, 3) for rows, side in zip(members, pictures.sides, strict=True)]
    if sum(int(np.prod(shape)) for shape in shapes) > data.memory * 2**30:
        return PictureReader(pictures)
    files = [
        folder / f"pictures-{_digest(index, rows, shape)}.npy"
        for rows, shape in zip(members, shapes, strict=True)
    ]
    missing = [bucket for bucket, file in enumerate(files) if len(members[bucket]) and not file.exists()]
    wait()  # all have looked before one makes them appear
    if missing:
        if rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            for bucket in missing:
                np.lib.format.open_memmap(
                    _unfinished(files[bucket]), mode="w+", dtype=np.uint8, shape=shapes[bucket]
                ).flush()
        wait()
        for bucket in missing:
            _fill(pictures, bucket, members[bucket], _unfinished(files[bucket]), slice(rank, None, world))
        wait()
        if rank == 0:
            for bucket in missing:
                with _unfinished(files[bucket]).open("r+b") as file:
                    os.fsync(file.fileno())
                _unfinished(files[bucket]).rename(files[bucket])
        wait()
    pictures.decoded = [
        np.load(file, mmap_mode="r") if len(rows) else np.zeros(shape, np.uint8)
        for file, rows, shape in zip(files, members, shapes, strict=True)
    ]
    return PictureReader(pictures)


def _fill(pictures: Pictures, bucket: int, rows: np.ndarray, file: Path, share: slice) -> None:
    """Decodes this process's share of a bucket into its place in the file."""
    pixels = np.lib.format.open_memmap(file, mode="r+")

    def decode(place: int) -> None:
        pixels[place] = decode_row(pictures.index, int(rows[place]), pictures.sides[bucket])

    for _ in pictures.pool.map(decode, range(len(rows))[share]):
        pass
    pixels.flush()


def _digest(index: Index, rows: np.ndarray, shape: tuple[int, ...]) -> str:
    """Names what is decoded: which pictures, at which size."""
    digest = hashlib.sha256(repr(shape).encode())
    for row in rows:
        digest.update(f" {index.uids[row]} {index.lengths[row]} {index.checksums[row]}".encode())
    return digest.hexdigest()[:16]


def _unfinished(file: Path) -> Path:
    """Where it lies until it is whole."""
    return file.with_suffix(".half.npy")
