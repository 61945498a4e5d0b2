"""From the index to verified edges: which pairs of rows show the same picture."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stages.dedup.difference import differences, sketches
from stages.dedup.foreground import foreground_difference
from stages.dedup.index import PictureIndex
from stages.dedup.pairs import pairs_within
from stages.dedup.phash import LEAST_CONTRAST

Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float32]

BATCH = 4096
"""Pairs (or rows) whose small pictures are in memory at once: 25 MB."""
CROPS = 1024
"""Pairs whose foregrounds are in memory at once: 25 MB."""
FOREGROUND_FACTOR = 2.0
"""Times the largest difference of small pictures: what foregrounds may differ by at their own size."""


@dataclass
class Edges:
    """Verified edges and what it took: pairs that the hashes proposed, pairs whose small pictures were
    compared, and pairs that only their foregrounds told apart."""

    first: Rows
    second: Rows
    distance: Distances
    proposed: int = 0
    compared: int = 0
    told_apart: int = 0
    flat: int = field(default=0)


def exact_groups(index: PictureIndex, rank: Rows) -> Rows:
    """For each row the best-ranked row with the same pixels: (N,) int64. Same bytes have the same pixels."""
    pixels = index.rows["pixels"].to_numpy()
    _, group = np.unique(pixels.astype(str), return_inverse=True)
    best = np.full(int(group.max()) + 1 if len(group) else 0, -1, dtype=np.int64)
    for row in np.argsort(-rank, kind="stable"):  # worst first, so that the best one stays
        best[group[row]] = row
    return best[group]


def near_edges(index: PictureIndex, rows: Rows, bits: int, limit: float) -> Edges:
    """Pairs among `rows` that are copies: hashes within `bits`, one aspect, small pictures within `limit`,
    and foregrounds within `FOREGROUND_FACTOR` times that where both are kept.

    Pictures too flat for their hash to mean anything take no part; `Edges.flat` counts them.
    """
    table = index.rows
    enough = table["contrast"].to_numpy()[rows] >= LEAST_CONTRAST
    flat = int((~enough).sum())
    rows = rows[enough]
    width = table["width"].to_numpy(dtype=np.int64)
    height = table["height"].to_numpy(dtype=np.int64)
    hashes = table["phash"].to_numpy(dtype=np.uint64)[rows]
    sketch = np.concatenate(
        [sketches(index.thumbnails(rows[n : n + BATCH])) for n in range(0, len(rows), BATCH)]
        or [np.zeros((0, 6), np.float32)]
    )
    batches: list[tuple[Rows, Rows, Distances]] = []
    proposed = compared = told_apart = 0
    for i, j in pairs_within(hashes, bits):
        proposed += len(i)
        first, second = rows[i], rows[j]
        # a hair's breadth for rounding: the sketch must not throw out what the comparison would keep
        alike = np.abs(sketch[i] - sketch[j]).max(axis=1) <= limit + 1e-4
        alike &= _same_aspect(width[first], height[first], width[second], height[second])
        first, second = first[alike], second[alike]
        compared += len(first)
        for n in range(0, len(first), BATCH):
            a, b = first[n : n + BATCH], second[n : n + BATCH]
            side = np.minimum(np.minimum(width[a], height[a]), np.minimum(width[b], height[b]))
            distance = differences(index.thumbnails(a), index.thumbnails(b), side)
            is_near = distance <= limit
            a, b, distance = a[is_near], b[is_near], distance[is_near]
            same = _same_foreground(index, a, b, FOREGROUND_FACTOR * limit)
            told_apart += int((~same).sum())
            batches.append((a[same], b[same], distance[same]))
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    first, second, distance = (np.concatenate(parts) for parts in zip(nothing, *batches, strict=True))
    return Edges(first, second, distance, proposed, compared, told_apart, flat)


def _same_foreground(index: PictureIndex, first: Rows, second: Rows, limit: float) -> npt.NDArray[np.bool_]:
    """Whether what two pictures show on their canvases is within `limit`; True where no crops are kept."""
    same = np.ones(len(first), np.bool_)
    both = np.flatnonzero(index.has_crop(first) & index.has_crop(second))
    for n in range(0, len(both), CROPS):
        chosen = both[n : n + CROPS]
        pairs = zip(index.foregrounds(first[chosen]), index.foregrounds(second[chosen]), strict=True)
        same[chosen] = [foreground_difference(left, right) <= limit for left, right in pairs]
    return same


def _same_aspect(width: Rows, height: Rows, other_width: Rows, other_height: Rows) -> npt.NDArray[np.bool_]:
    """Whether one size may be a scaled version of the other, given that sides are whole pixels: two pixels
    of the shortest side are forgiven."""
    shortest = np.minimum(np.minimum(width, height), np.minimum(other_width, other_height))
    ratio = (width * other_height) / (height * other_width)
    return np.abs(np.log(ratio)) <= 2 / shortest
