"""Speed: units of work per second over the last minute, whatever the pace at which they are counted."""

from collections import deque

WINDOW_SECONDS = 60.0
"""Over which the mean is taken."""
SAMPLE_SECONDS = 1.0
"""Between two samples that are remembered, so that there are few of them however often somebody counts."""


class Speed:
    """A mean over a sliding window; what was done before the first count does not count."""

    def __init__(self) -> None:
        self._total = 0
        self._samples: deque[tuple[float, int]] = deque()  # when, units until then
        self._done = 0

    def count(self, now: float, done: int, total: int) -> None:
        """Note how much is done.

        Args:
            now: seconds, of any clock that only goes forward.
            done: units until now; fewer than before, or another `total`, and other work has begun.
            total: units in all.
        """
        if done < self._done or total != self._total:
            self._samples.clear()
        self._done, self._total = done, total
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, done))
        # One sample from before the window stays, so that units that take longer than it have a speed.
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self, now: float) -> float | None:
        """Units per second; None until some of them were counted."""
        if not self._samples:
            return None
        began, first = self._samples[0]
        if now <= began or self._done == first:
            return None
        return (self._done - first) / (now - began)
