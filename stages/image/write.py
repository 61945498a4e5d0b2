"""Pixels made smaller, and made a file."""

import io
from typing import Any

import numpy as np
from PIL import Image

from stages.image.picture import Pixels


def shrink(pixels: Pixels, side: int) -> Pixels:
    """`pixels` (H, W, 3) uint8 averaged over areas on a square, whatever their aspect: (side, side, 3) uint8.

    Each output pixel is the mean over the source pixels whose centres it covers; at uneven ratios that moves
    edges by up to half a source pixel, so that dedup, which compares copies of different sizes, has its own
    thumbnails.
    """
    return np.asarray(
        Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX), dtype=np.uint8
    ).copy()


def encode_image(pixels: Pixels, format: str, quality: int = 95) -> bytes:
    """`pixels` (H, W, 3) uint8 sRGB as a file: "png" without loss, "jpeg" (4:4:4) and "webp" at a quality.

    `quality` is in [1, 100]. The same pixels give the same bytes on one platform.
    """
    settings: dict[str, dict[str, Any]] = {
        "png": {"optimize": False, "compress_level": 6},
        "jpeg": {"quality": quality, "subsampling": 0},
        "webp": {"quality": quality, "method": 4},
    }
    if format not in settings:
        raise ValueError(f"cannot write images as {format!r}: choose one of {', '.join(settings)}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **settings[format])
    return buffer.getvalue()
