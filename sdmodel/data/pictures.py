"""Pictures as pixels: fitted to the shape of their bucket, and augmented as a stream says."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from sdmodel.config.buckets import bucket_shapes
from sdmodel.config.learning import DataConfig
from sdmodel.data import buckets
from sdmodel.data.colour import recolour
from sdmodel.data.geometry import warp
from sdmodel.data.index import Index
from sdmodel.data.pixels import decode, to_float
from sdmodel.data.reader import Augmentations, Examples

MARGIN = 8
"""Where crops are random, a picture is this part larger than what is seen of it."""
PLAIN = DataConfig()
"""Squares, as they are."""


class Pictures:
    """uint8 pictures by row, decoded as they are read, or once into `decoded`."""

    def __init__(self, index: Index, size: int, data: DataConfig = PLAIN, threads: int = 0):
        """size: pixels to a side of a square. threads: that decode; 0 takes one a core, 16 at most.

        ValueError: there are to be buckets, but the index has no sizes, or the buckets cannot be had."""
        self.index = index
        self.shapes = bucket_shapes(size, data.buckets, data.max_aspect)
        """(H, W) of each bucket, as augmentations."""
        self.buckets = np.zeros(len(index), np.int64)
        """(N,): which bucket a row is in."""
        if len(self.shapes) > 1:
            if index.sizes is None:
                raise ValueError(
                    f"data.buckets={data.buckets}: the index has no columns 'height' and 'width' to sort "
                    "pictures by; make the dataset anew, or set data.buckets=1"
                )
            self.buckets = buckets.nearest_bucket(index.sizes, self.shapes)
        self.sides = [(h - -h // MARGIN, w - -w // MARGIN) if data.crop else (h, w) for h, w in self.shapes]
        """(H', W') of each bucket, as decoded."""
        self.decoded: list[np.ndarray] | None = None
        """For each bucket (N_b, H', W', 3) uint8, in the order of its rows; None: decoded as they are
        read."""
        self.place = np.zeros(len(index), np.int64)
        """(N,): a row's place in its bucket."""
        for bucket in range(len(self.shapes)):
            members = self.members(bucket)
            self.place[members] = np.arange(len(members))
        self.pool = ThreadPoolExecutor(max_workers=threads or min(16, os.cpu_count() or 1))

    def __len__(self) -> int:
        return len(self.index)

    def members(self, bucket: int) -> np.ndarray:
        """Rows of a bucket, ascending."""
        return np.flatnonzero(self.buckets == bucket)

    def read(self, rows: np.ndarray, bucket: int = 0) -> np.ndarray:
        """(B, 3, H', W') uint8 of rows (B,) of a bucket. ValueError: a picture cannot be decoded."""
        return self.pixels(rows, bucket).transpose(0, 3, 1, 2)

    def pixels(self, rows: np.ndarray, bucket: int) -> np.ndarray:
        """The same as (B, H', W', 3), which may be written to."""
        if self.decoded is not None:
            return self.decoded[bucket][self.place[rows]]
        shape = self.sides[bucket]
        return np.stack(list(self.pool.map(lambda row: decode_row(self.index, int(row), shape), rows)))


class PictureReader:
    """A `Reader` of pictures."""

    def __init__(self, pictures: Pictures):
        self.pictures = pictures
        self.index, self.shapes, self.buckets = pictures.index, pictures.shapes, pictures.buckets

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        """Cropped, then mirrored, recoloured and moved. ValueError: a picture cannot be decoded."""
        pictures = self.pictures.pixels(rows, bucket)
        if pictures.shape[1:3] != self.shapes[bucket]:
            pictures = _crop(pictures, augmentations.crop, *self.shapes[bucket])
        if augmentations.mirror.any():
            pictures[augmentations.mirror] = pictures[augmentations.mirror][:, :, ::-1]
        images = to_float(pictures).permute(0, 3, 1, 2)  # (B, 3, H, W), channels last in memory
        if (augmentations.colour != 1).any():
            images = recolour(images, torch.from_numpy(augmentations.colour))
        augmented = None if augmentations.augmented is None else torch.from_numpy(augmentations.augmented)
        if augmented is not None:
            images = warp(images, augmented)
        return Examples(images=images, augmented=augmented)


def _crop(pictures: np.ndarray, where: np.ndarray, height: int, width: int) -> np.ndarray:
    """(B, height, width, 3) of (B, H', W', 3), where as `Augmentations.crop`."""
    ways = np.array([pictures.shape[1] - height + 1, pictures.shape[2] - width + 1])
    corners = (where * ways).astype(np.int64)  # (B, 2)
    return np.stack(
        [
            picture[top : top + height, left : left + width]
            for picture, (top, left) in zip(pictures, corners, strict=True)
        ]
    )


def decode_row(index: Index, row: int, size: int | tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 of one row, see `fit`. ValueError: it cannot be decoded; the message names the row."""
    data = index.bytes_of(row)
    try:
        return decode(data, size)
    except OSError as error:
        raise ValueError(
            f"{index.files[row]}: picture {index.uids[row]} cannot be decoded: {error}"
        ) from error
