"""Files that are good and yet easily read wrong: turned, of 16 bits, in CMYK; and the placeholder."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_ORIENTATION = 0x0112
_UNDO: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> the inverse of what a viewer does for it (Exif 2.32, 4.6.4 A; PIL turns leftwards)."""


def turned(pixels: NDArray[np.uint8], quality: int, orientation: int) -> bytes:
    """A JPEG that shows (H, W, 3) pixels once it is turned as its orientation, 2 to 8, says."""
    stored = Image.fromarray(pixels).transpose(_UNDO[orientation])
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    stream = io.BytesIO()
    stored.save(stream, "JPEG", quality=quality, exif=exif)
    return stream.getvalue()


def deep(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of 16 bits a channel with the same (H, W, 3) colours: v / 255 is 257 v / 65535."""
    height, width, _ = pixels.shape
    lines = (pixels.astype(">u2") * 257).astype(">u2").reshape(height, width * 3).view(np.uint8)
    unfiltered = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes(), 4)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def cmyk(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG in CMYK, without a profile, of (H, W, 3) pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def placeholder() -> bytes:
    """What a site shows in the place of a picture that it no longer has: a grey frame, crossed."""
    image = Image.new("RGB", (120, 120), (236, 236, 236))
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 30, 99, 89), outline=(150, 150, 150), width=4)
    pen.line((20, 30, 99, 89), fill=(150, 150, 150), width=3)
    pen.line((20, 89, 99, 30), fill=(150, 150, 150), width=3)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
