"""The data order: what is seen n-th is a function of (seed, n), so that a resume needs one integer.

An epoch is a permutation of the rows. Multiplicity is not used yet: every row comes once in an epoch.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STREAM = 0x0DA7A  # keeps these draws apart from others made with the same seed


class Seen(NamedTuple):
    """What is seen at some places of the data order; arrays of one length."""

    rows: np.ndarray
    """(B,) int64: row of the index."""
    caption: np.ndarray
    """(B,) float64 on [0, 1): which of the picture's captions."""
    mirror: np.ndarray
    """(B,) bool: mirrored, where mirroring is on."""


@dataclass(frozen=True)
class Order:
    """The order of `rows` rows under `seed`."""

    rows: int
    seed: int

    def at(self, places: np.ndarray) -> Seen:
        """places: (B,) int64, counted over all epochs from 0."""
        epochs, inside = np.divmod(places, self.rows)
        seen = [
            [part[inside[epochs == epoch]] for part in _epoch(self.rows, self.seed, int(epoch))]
            for epoch in np.unique(epochs)
        ]
        # Places ascend, so epochs do too, and their parts join in the order of `places`.
        return Seen(*(np.concatenate(part) for part in zip(*seen, strict=True)))


@functools.lru_cache(maxsize=2)  # a batch spans two epochs at most, where it is not larger than the data
def _epoch(rows: int, seed: int, epoch: int) -> Seen:
    """A whole epoch; its rows are a permutation."""
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([STREAM, seed, epoch])))
    return Seen(draw.permutation(rows), draw.random(rows), draw.random(rows) < 0.5)
