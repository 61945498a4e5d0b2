"""What a file says of itself in its first bytes, read without a decoder: no pixel is allocated for a claim.

Formats are recognised by their bytes (magic numbers), never by a name or a content type, and only those
listed here are read.
"""

import struct
from dataclasses import dataclass

from stages.image import avif, tiff
from stages.image.error import ImageError
from stages.image.unsupported import refusal
from stages.reasons import Reason

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif")
"""The formats that are read; of moving ones the first frame."""


@dataclass(frozen=True)
class Header:
    """Format (one of `FORMATS`), width and height in pixels as stored: before EXIF orientation."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """The header of encoded `data`; costs microseconds.

    Raises `ImageError`: NOT_AN_IMAGE or UNSUPPORTED_FORMAT where no format of ours begins like this,
    TRUNCATED where the data end before the size, UNDECODABLE where the header makes no sense.
    """
    kind = _format_of(data)
    try:
        width, height = _SIZES[kind](data)
    except ImageError:
        raise
    except (struct.error, IndexError):
        raise ImageError(
            Reason.TRUNCATED, f"{kind} of {len(data)} bytes ends before its size is told"
        ) from None
    except Exception as error:  # noqa: BLE001 - strangers write headers; no number of theirs ends a process
        raise ImageError(
            Reason.UNDECODABLE, f"{kind} whose header makes no sense: {type(error).__name__}"
        ) from None
    if width < 1 or height < 1:
        raise ImageError(Reason.UNDECODABLE, f"{kind} that claims {width} x {height} pixels")
    return Header(kind, width, height)


def is_cut(data: bytes, kind: str) -> bool:
    """Whether a file of this format lacks the end that its own structure announces.

    Never raises: it is asked about files that have failed already.
    """
    try:
        return _lacks_its_end(data, kind)
    except Exception:  # noqa: BLE001 - a structure that makes no sense announces nothing
        return False


def _lacks_its_end(data: bytes, kind: str) -> bool:
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-4096:]
    if kind == "png":
        return b"IEND" not in data[-4096:]
    if kind == "webp":
        return len(data) < 12 or len(data) < 8 + struct.unpack_from("<I", data, 4)[0]
    if kind == "gif":
        return data[-64:].rstrip(b"\0")[-1:] != b"\x3b"
    if kind == "tiff":
        return tiff.is_cut(data)
    if kind == "avif":
        return avif.is_cut(data)
    return len(data) < 6 or len(data) < struct.unpack_from("<I", data, 2)[0]


def _format_of(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"BM") and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        return "bmp"
    if tiff.is_tiff(data):
        return "tiff"
    if avif.is_avif(data):
        return "avif"
    raise refusal(data)


_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        if data[position] != 0xFF:  # decoders pass over what stands between segments
            position = data.find(b"\xff", position)
            if position < 0:
                raise IndexError
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            position += 2
        elif marker in (0xD9, 0xDA):
            raise ImageError(Reason.UNDECODABLE, "jpeg without a frame header")
        else:
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", data, 24)
        return 1 + (high_w << 16 | low_w), 1 + (high_h << 16 | low_h)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if len(chunk) < 4:
        raise IndexError
    raise ImageError(Reason.UNDECODABLE, f"webp that begins with chunk {chunk!r}")


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means rows from the top


_SIZES = {
    "jpeg": _jpeg_size,
    "png": _png_size,
    "webp": _webp_size,
    "gif": _gif_size,
    "bmp": _bmp_size,
    "tiff": tiff.size_of,
    "avif": avif.size_of,
}
