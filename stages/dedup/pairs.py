"""All pairs of 64-bit hashes within a small Hamming distance, found by banding.

A hash is cut into four bands of 16 bits. Two hashes that differ in at most three bits agree in at least one
whole band (pigeonhole), so that sorting by each band and comparing equal neighbours misses no pair: the
search is exact, at about 4 n^2 / 2^17 comparisons for hashes that fill their range instead of n^2 / 2.
Beyond some ten million hashes longer ones pay (ThreatExchange's PDQ, 256 bits in 8 bands of 32).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

BANDS = 4
BAND_BITS = 16
MOST_BITS = BANDS - 1
"""The largest distance for which four bands are exact."""
CHUNK = 1 << 20
"""Most pairs compared at once: bounds memory where a band's value is popular."""

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]


def pairs_within(hashes: Hashes, bits: int) -> Iterator[tuple[Rows, Rows]]:
    """Every pair of rows whose hashes differ in at most `bits` bits, each once, in batches.

    `hashes` is (N,) uint64; `bits` is 0 to 3. Yields (i, j), two int64 arrays of one length (at most
    `CHUNK`) with i < j; the order is a function of the hashes alone. Memory is O(N + CHUNK) however often a
    value repeats. Raises ValueError for `bits` out of range.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(
            f"max_bits is {bits}; {BANDS} bands of {BAND_BITS} bits find all pairs for 0 to {MOST_BITS}"
        )
    for band in range(BANDS):
        keys = _band(hashes, band)
        order = np.argsort(keys, kind="stable").astype(np.int64)
        for left, right in _equal_neighbours(keys[order]):
            i, j = order[left], order[right]  # i < j: the sort is stable
            different = hashes[i] ^ hashes[j]
            near = np.bitwise_count(different) <= bits
            for earlier in range(band):  # a pair is reported by the first band it agrees in
                near &= _band(different, earlier) != 0
            if near.any():
                yield i[near], j[near]


def _band(hashes: Hashes, band: int) -> npt.NDArray[np.uint16]:
    return (hashes >> np.uint64(BAND_BITS * band)).astype(np.uint16)


def _equal_neighbours(keys: npt.NDArray[np.uint16]) -> Iterator[tuple[Rows, Rows]]:
    """All pairs of positions a < b with equal keys, `keys` being sorted, in batches of at most `CHUNK`."""
    if not len(keys):
        return
    ends = np.searchsorted(keys, keys, side="right")  # where the run of equal keys ends, for each position
    partners = ends - np.arange(len(keys)) - 1  # later positions of the same run
    bounds = np.concatenate([[0], np.cumsum(partners)])  # pairs that begin before a position
    total = int(bounds[-1])
    for start in range(0, total, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, total))
        left = np.searchsorted(bounds, numbers, side="right") - 1
        yield left, left + 1 + (numbers - bounds[left])
