"""Bytes in none of our formats: unsupported pictures, recognised by their magic numbers, or no pictures at
all.

EPS, PDF and SVG are programs or documents, whose readers run code or load further files: no images here.
"""

from stages.image.error import ImageError
from stages.reasons import Reason

_PICTURES = (
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpeg xl"),
    (b"\xff\x0a", "jpeg xl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg 2000"),
    (b"\xff\x4f\xff\x51", "jpeg 2000"),
    (b"II\xbc\x01", "jpeg xr"),
    (b"MM\0+", "big-endian bigtiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x02\x00", "cur"),
    (b"icns", "icns"),
    (b"8BPS", "psd"),
    (b"gimp xcf", "xcf"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"BPG\xfb", "bpg"),
    (b"FLIF", "flif"),
    (b"\x76\x2f\x31\x01", "openexr"),
    (b"#?RADIANCE", "radiance hdr"),
    (b"SIMPLE  =", "fits"),
    (b"AT&TFORM", "djvu"),
    (b"\x8aMNG\r\n\x1a\n", "mng"),
    (b"\x8bJNG\r\n\x1a\n", "jng"),
    *((b"P%d\n" % kind, "netpbm") for kind in range(1, 8)),
)
"""First bytes of picture formats that are not read, as their specifications give them."""

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heif"),
    b"crx ": "cr3",
}
"""Major brands of ISO base media files (ISO/IEC 14496-12, 23008-12) that hold pictures."""


def refusal(data: bytes) -> ImageError:
    """Why `data`, which begin like no format of ours, are refused: UNSUPPORTED_FORMAT or NOT_AN_IMAGE."""
    for start, name in _PICTURES:
        if data.startswith(start):
            return ImageError(Reason.UNSUPPORTED_FORMAT, name)
    if data[:4] == b"II*\0" and data[8:10] == b"CR":
        return ImageError(Reason.UNSUPPORTED_FORMAT, "cr2")
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return ImageError(Reason.UNSUPPORTED_FORMAT, _BRANDS[data[8:12]])
    return ImageError(Reason.NOT_AN_IMAGE, _document(data))


def _document(data: bytes) -> str:
    if not data:
        return "no bytes"
    start = (
        data[:1024].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    )  # any UTF, any mark
    if b"<svg" in start:
        return "svg"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in start:
        return "html"
    if start.startswith(b"<?xml"):
        return "xml"
    return f"begins with {data[:12].hex(' ')}"
