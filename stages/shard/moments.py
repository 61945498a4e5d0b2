"""Mean and mean square of a picture's channels, from whole numbers."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VALUES = np.arange(256, dtype=np.int64)


def channel_moments(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and mean square of each channel, (3,) each, of pixels scaled to [-1, 1].

    Pixels are counted by value, so that both sums are exact; no pixel becomes a float.

    Args:
        pixels: (H, W, 3) uint8.
    """
    count = pixels.shape[0] * pixels.shape[1]
    histogram = np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(3, 256)
    total, square = histogram @ VALUES, histogram @ VALUES**2  # (3,) each
    # x = (2 v - 255) / 255, so x^2 = (4 v^2 - 1020 v + 65025) / 65025
    return (2 * total - 255 * count) / (255 * count), (4 * square - 1020 * total + 65025 * count) / (
        65025 * count
    )
