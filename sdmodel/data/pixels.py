"""From encoded bytes to pixels of one size, and between bytes and [-1, 1]: the one place that converts."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def fit(image: Image.Image, size: int) -> np.ndarray:
    """(size, size, 3) uint8: scaled to cover the square, cropped at the centre.

    Shrinking averages areas, which neither blurs nor rings; enlarging is bicubic."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    filter_ = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    square = image.convert("RGB").resize((size, size), filter_, box=(left, top, left + side, top + side))
    return np.asarray(square)


def decode(data: bytes, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of an encoded picture; see `fit`. OSError: Pillow cannot read it."""
    with Image.open(io.BytesIO(data)) as image:
        return fit(image, size)


def to_float(images: Tensor | np.ndarray) -> Tensor:
    """uint8 of any shape to float32 in [-1, 1]: 0 is -1, 255 is 1."""
    return torch.as_tensor(images).to(torch.float32).mul_(2 / 255).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] of any shape to uint8, rounded; values outside are clipped."""
    return images.float().add(1).mul(255 / 2).round().clamp(0, 255).to(torch.uint8)
