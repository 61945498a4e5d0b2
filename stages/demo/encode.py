"""Image files as the web mixes them: JPEG, PNG and WebP of many sizes and qualities."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXTENSIONS: dict[str, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
"""Format -> extension of its file names."""

SIDES = (64, 160)
"""Least and greatest side of a served picture, pixels."""


@dataclass(frozen=True)
class FileEncoding:
    """How a picture is written to a file: format and quality."""

    format: str
    """"jpeg", "png" or "webp"."""
    quality: int
    """70 to 95; png, which loses nothing, ignores it."""


def draw_encoding(rng: np.random.Generator, lossy: bool = False) -> FileEncoding:
    """Three of five JPEG, one PNG, one WebP; `lossy` leaves PNG out."""
    formats = ["jpeg", "jpeg", "jpeg", "webp"] if lossy else ["jpeg", "jpeg", "jpeg", "webp", "png"]
    return FileEncoding(formats[rng.integers(len(formats))], int(rng.integers(70, 96)))


def draw_side(rng: np.random.Generator) -> int:
    """A side between SIDES, pixels."""
    return int(rng.integers(SIDES[0], SIDES[1] + 1))


def encode_picture(pixels: NDArray[np.uint8], encoding: FileEncoding) -> bytes:
    """The file's bytes for (H, W, 3) uint8 sRGB pixels."""
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    if encoding.format == "png":
        image.save(stream, "PNG", compress_level=4)
    elif encoding.format == "webp":
        image.save(stream, "WEBP", quality=encoding.quality, method=1)
    else:
        image.save(stream, "JPEG", quality=encoding.quality)
    return stream.getvalue()


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 pixels of a file of this world."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(side, side, 3): the picture at another size, by Lanczos' filter."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))
