"""The bucket schedule: of which aspect ratio bucket each batch is, so that each comes as often as its share
of the data, as evenly as can be, at any time."""

from collections.abc import Sequence

import numpy as np

FINE = 2**20
"""Parts that shares are counted in, so that the arithmetic is exact."""


class BucketSchedule:
    """An endless sequence of buckets: turn k of bucket b stands at time (k + 1/2) / share_b, and they are
    taken by time (the divisor method of Webster and Sainte-Lague). So after j turns no bucket is far from j
    times its share, and what comes j-th is computed without going through what comes before."""

    def __init__(self, sizes: Sequence[float]):
        """sizes: how many pictures each bucket has; one of 0 has no turn, any other has."""
        total = sum(sizes)
        self.shares = [max(1, round(size / total * FINE)) if size else 0 for size in sizes]
        self.total = sum(self.shares)

    def at(self, turn: int) -> tuple[int, int]:
        """(bucket, how many turns it had before) of a turn, counted from 0."""
        counts = self.before(turn)
        bucket = self._next(counts)
        return bucket, counts[bucket]

    def before(self, turn: int) -> list[int]:
        """Turns that each bucket had before a turn."""
        # All turns up to this time are no more than `turn`, and lack no more than the number of buckets.
        time = 2 * turn - len(self.shares)  # in 1 / (2 * total)
        counts = [max(0, (time * share + self.total) // (2 * self.total)) for share in self.shares]
        for _ in range(turn - sum(counts)):
            counts[self._next(counts)] += 1
        return counts

    def _next(self, counts: list[int]) -> int:
        """The bucket whose next turn stands first; of those at one time the first."""
        best = int(np.argmax(self.shares))
        for bucket, share in enumerate(self.shares):
            mine, its = (2 * counts[bucket] + 1) * self.shares[best], (2 * counts[best] + 1) * share
            if share and (mine < its or (mine == its and bucket < best)):
                best = bucket
        return best
