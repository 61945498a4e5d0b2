"""What the oracles of both worlds share: the form of a reading, and when a picture counts as clean."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.demo.shapes import Array

PIXELS = 32
"""Side of the pictures that the oracles read."""
NOISE = 0.05
"""Standard deviation, in units of full brightness, of the noise that a clean picture may bear."""
MIN_CONTRAST = 0.12
"""Least root mean square difference of a shape's colour to the background's; below it there is no shape."""
_CHUNK = 128  # pictures at once: bounds memory


@dataclass(frozen=True)
class Reading:
    """What an oracle reads in N pictures; every array has N entries."""

    labels: dict[str, NDArray[np.str_]]
    """Attribute -> the value read. There is always one; `clean` says whether to believe it."""
    residual: Array
    """Root mean square error of the best explanation, in units of full brightness, [0, 1]."""
    contrast: Array
    """Root mean square difference of the shape's colour, or the paler group's, to the background's."""
    clean: NDArray[np.bool_]
    """Whether it is of the oracle's world: residual at most its limit, contrast at least MIN_CONTRAST."""


def chunks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Images (N, 32, 32, 3) uint8, some at a time; ValueError for another shape or type."""
    if images.ndim != 4 or images.shape[1:] != (PIXELS, PIXELS, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"images are {images.dtype} {images.shape}: the oracle reads uint8 (N, {PIXELS}, {PIXELS}, 3); "
            f"scale pictures to {PIXELS} pixels by averaging first"
        )
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK]


def residual_limit(
    renders: list[NDArray[np.uint8]], residuals: Callable[[NDArray[np.uint8]], Array]
) -> float:
    """The 99th percentile of the residuals of a world's renders under noise: what still looks like it.

    Args:
        renders: (32, 32, 3) uint8 each.
        residuals: (N, 32, 32, 3) uint8 -> N residuals.
    """
    rng = np.random.default_rng(0)
    pictures = np.stack(renders)
    noisy = np.clip(pictures + rng.normal(0, 255 * NOISE, pictures.shape), 0, 255).astype(np.uint8)
    return float(np.percentile(residuals(noisy), 99))
