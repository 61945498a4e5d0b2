"""Aspect ratio buckets: shapes that pictures are sorted into, so that little of them is cut off and batches
are of one shape. Which one a picture is nearest to, `sdmodel.data.buckets` says."""

import itertools
import math

STEP = 16
"""Sides of several buckets are multiples of it, and so is the size that they have about as many pixels as:
whole tokens, after an autoencoder of factor 8 and patches of 2."""
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
        return round(math.hypot(log_aspect(*shape) - aspect, math.log(area / size**2)), 9), -area

    aspects = [number * (2 * reach / (buckets - 1)) - reach for number in range(buckets - 1)] + [reach]
    nearest = {min(allowed, key=lambda shape: misfit(shape, aspect)) for aspect in aspects}
    return sorted(nearest, key=lambda shape: log_aspect(*shape))


def log_aspect(height: int, width: int) -> float:
    """The logarithm of width over height: 0 is the square, negative is upright."""
    return math.log(width / height)
