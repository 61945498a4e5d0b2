"""Aspect ratio buckets: shapes that pictures are sorted into, so that little of them is cut off and batches
are of one shape."""

import itertools
import math

import numpy as np

from sdmodel.config.train import STEP

LEAST, MOST = 0.75, 1.15
"""Pixels of a shape, as a factor on those of the square."""


def bucket_shapes(size: int, buckets: int, max_aspect: float) -> list[tuple[int, int]]:
    """(H, W) of at most `buckets` shapes, from upright to wide, about size**2 pixels each; 1 is the square.

    Aspects are spaced evenly in their logarithm from 1 / max_aspect to max_aspect; a small size has few
    shapes of whole steps, so fewer may come back. The nearest in aspect and area together are taken.
    ValueError: they cannot be had."""
    if buckets == 1:
        return [(size, size)]
    sides = range(STEP, math.ceil(2 * size * max_aspect), STEP)
    allowed = [
        (height, width)
        for height, width in itertools.product(sides, sides)
        if LEAST <= height * width / size**2 <= MOST and max(height, width) <= max_aspect * min(height, width)
    ]
    reach = math.log(max_aspect)

    def misfit(shape: tuple[int, int], aspect: float) -> tuple[float, int]:
        """The same for a shape and the one on its side: of two that fit alike, the larger."""
        area = shape[0] * shape[1]
        return round(math.hypot(_aspect(*shape) - aspect, math.log(area / size**2)), 9), -area

    nearest = {
        min(allowed, key=lambda shape: misfit(shape, aspect))
        for aspect in np.linspace(-reach, reach, buckets)
    }
    return sorted(nearest, key=lambda shape: _aspect(*shape))


def nearest_bucket(sizes: np.ndarray, shapes: list[tuple[int, int]]) -> np.ndarray:
    """(N,) int64: which of the shapes (height, width) is nearest in aspect to each of `sizes`, (N, 2) height
    and width."""
    aspects = np.array([_aspect(*shape) for shape in shapes])
    own = np.log(sizes[:, 1] / sizes[:, 0])
    return np.abs(own[:, None] - aspects).argmin(axis=1)


def _aspect(height: int, width: int) -> float:
    return math.log(width / height)
