"""From encoded bytes to pixels of one size, and between bytes and [-1, 1]: the one place that converts."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def fit(image: Image.Image, size: int | tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: scaled to cover it, cropped at the centre. size: (H, W), or the side of a square.

    Shrinking averages areas, which neither blurs nor rings; enlarging is bicubic."""
    high, wide = (size, size) if isinstance(size, int) else size
    width, height = image.size
    scale = min(width / wide, height / high)  # pixels of the picture to a pixel of the result
    left, top = max(0.0, (width - scale * wide) / 2), max(0.0, (height - scale * high) / 2)
    filter_ = Image.Resampling.BOX if scale >= 1 else Image.Resampling.BICUBIC
    # Rounding must not reach beyond the picture's edge.
    box = (left, top, min(width, left + scale * wide), min(height, top + scale * high))
    return np.asarray(image.convert("RGB").resize((wide, high), filter_, box=box))


def decode(data: bytes, size: int | tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 of an encoded picture; see `fit`. OSError: Pillow cannot read it."""
    with Image.open(io.BytesIO(data)) as image:
        return fit(image, size)


def to_float(images: Tensor | np.ndarray) -> Tensor:
    """uint8 of any shape to float32 in [-1, 1]: 0 is -1, 255 is 1."""
    return torch.as_tensor(images).to(torch.float32).mul_(2 / 255).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] of any shape to uint8, rounded; values outside are clipped."""
    return images.float().add(1).mul(255 / 2).round().clamp(0, 255).to(torch.uint8)
