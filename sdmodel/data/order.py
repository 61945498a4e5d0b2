"""The data order (shuffling): what is seen n-th is a function of (seed, n), so a resume needs one integer.

An epoch is a permutation of the rows; where rows have weights, of each as often as its weight says.
"""

import functools

import numpy as np

STREAM = 0x0DA7A  # keeps these draws apart from others made with the same seed
SHARE = 0x5A4E  # and these apart from those


class Order:
    """The order of `rows` rows under `seed`.

    expected: (N,) float64, how often each row is to come in an epoch; None: once. A row of 2.3 comes twice,
    and in three epochs of ten a third time (systematic resampling of the fractions, Kitagawa 1996).
    bucket: orders of other buckets are others."""

    def __init__(self, rows: int, seed: int, expected: np.ndarray | None = None, bucket: int = 0):
        self.rows, self.seed = rows, seed
        self._apart = [bucket] if bucket else []
        expected = np.ones(rows) if expected is None else expected
        self._whole = np.floor(expected).astype(np.int64)
        self._fractions = np.cumsum(expected - self._whole)
        self._ends = np.zeros(0, np.int64)
        self._epoch = functools.lru_cache(maxsize=2)(self._draw)  # a batch spans two, if it is no larger
        assert expected.any()

    def at(self, places: np.ndarray) -> np.ndarray:
        """(B,) int64 rows at places (B,) int64 ascending, counted over all epochs from 0."""
        epochs, inside = self.epochs(places)
        # Places ascend, so epochs do too, and their parts join in the order of `places`.
        return np.concatenate(
            [self._epoch(int(epoch))[inside[epochs == epoch]] for epoch in np.unique(epochs)]
        )

    def epochs(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(epoch, place in it) of each place, (B,) int64 both."""
        whole = int(self._whole.sum())
        if not self._fractions[-1]:
            return np.divmod(places, whole)
        # Epochs with fractions differ in length by one: their ends are added up, as far as they are needed.
        ends = self._ends
        while not len(ends) or ends[-1] <= places.max():
            shares = self._shares(max(64, 2 * len(ends)))
            ends = np.cumsum(whole + np.floor(self._fractions[-1] + shares).astype(np.int64))
        self._ends = ends
        epochs = np.searchsorted(ends, places, side="right")
        return epochs, places - np.concatenate([[0], ends])[epochs]

    def length(self, epoch: int) -> int:
        """Places of an epoch."""
        return len(self._epoch(epoch))

    def _shares(self, epochs: int) -> np.ndarray:
        """(epochs,) float64 on [0, 1): where resampling begins in each of the first epochs."""
        seeds = np.random.SeedSequence([SHARE, self.seed, *self._apart])
        return np.random.Generator(np.random.Philox(seeds)).random(epochs)

    def _draw(self, epoch: int) -> np.ndarray:
        counts = self._whole
        if self._fractions[-1]:
            share = self._shares(epoch + 1)[-1]
            counts = counts + np.diff(np.floor(self._fractions + share), prepend=0).astype(np.int64)
        rows = np.repeat(np.arange(self.rows), counts)
        seeds = np.random.SeedSequence([STREAM, self.seed, epoch, *self._apart])
        return rows[np.random.Generator(np.random.Philox(seeds)).permutation(len(rows))]
