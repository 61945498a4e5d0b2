"""Variants of the formats that are read, of which no decoder of ours makes pixels: by name, so that they are
not taken for damage.

Asked about a file that has failed, whole as it is.
"""

import struct

from stages.image import tiff

_COMPRESSIONS = {
    34661: "JBIG",
    34676: "SGILog",
    34677: "SGILog24",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy DNG",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compressions of TIFF that decoders are mostly built without (registered tags of libtiff and Adobe)."""
_SAMPLES = {1: "unsigned", 2: "signed", 3: "float", 4: "untyped", 5: "complex", 6: "complex float"}
"""SampleFormat (TIFF 6.0, section 19)."""
_GREYS = {"unsigned": (1, 2, 4, 8, 12, 16, 32), "signed": (8, 16, 32), "float": (32,)}
_COLOURS = {"unsigned": (8, 16)}
"""Bits of a sample that are read, of one sample to a pixel and of more."""
_BMP = {3: "bit masks", 4: "JPEG inside", 5: "PNG inside", 6: "bit masks", 11: "inks", 12: "inks", 13: "inks"}
"""Compressions of BMP (MS-WMF, 2.1.1.7) but run lengths."""
_FRAMES = {
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetically coded"),
    0xCB: "lossless, arithmetically coded",
}
"""Frames of JPEG (ITU-T T.81, table B.1) but sequential and progressive ones in Huffman codes."""


def variant_of(data: bytes, kind: str) -> str:
    """What is unusual about a file of this format, in words; "" where nothing of the kind is known.

    Never raises: a structure that makes no sense has no name.
    """
    try:
        return {"tiff": _tiff, "bmp": _bmp, "jpeg": _jpeg}.get(kind, _ordinary)(data)
    except Exception:  # noqa: BLE001 - asked about whatever strangers sent
        return ""


def _ordinary(data: bytes) -> str:
    return ""


def _tiff(data: bytes) -> str:
    tags = tiff.tags_of(data, (258, 259, 262, 277, 339))
    bits = tags.get(258, (1,))
    compression = tags.get(259, (1,))[0]
    samples = tags.get(277, (1,))[0]
    formats = tags.get(339, (1,))
    if compression in _COMPRESSIONS:
        return f"tiff with {_COMPRESSIONS[compression]} compression"
    words = "mixed" if len(set(formats)) > 1 else _SAMPLES.get(formats[0], "untyped")
    if len(set(bits)) > 1:
        return f"tiff of samples of {', '.join(map(str, bits))} bits"
    ordinary = _GREYS if samples == 1 else _COLOURS
    return "" if bits[0] in ordinary.get(words, ()) else f"tiff of {samples} x {bits[0]} bits, {words}"


def _bmp(data: bytes) -> str:
    header, depth, compression = *struct.unpack_from("<I", data, 14), *struct.unpack_from("<HI", data, 28)
    if header < 40 or compression not in _BMP or depth not in (0, 16, 24, 32):
        return "bmp of 64 bits" if header >= 40 and depth == 64 else ""
    words = f"bmp with {_BMP[compression]}"
    if compression not in (3, 6):
        return words
    masks = struct.unpack_from("<4I", data, 54)[: 4 if compression == 6 or header >= 56 else 3]
    return f"{words} {' '.join(f'{mask:x}' for mask in masks)} in {depth} bits"


def _jpeg(data: bytes) -> str:
    position = 2
    while True:
        position = data.index(b"\xff", position)
        marker = data[position + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, layers = data[position + 4], data[position + 9]
            words = [_FRAMES[marker]] if marker in _FRAMES else []
            words += [f"of {bits} bits"] if bits != 8 else []
            words += [f"of {layers} channels"] if layers not in (1, 3, 4) else []
            return " ".join(["jpeg,", *words]) if words else ""
        elif marker in (0xD9, 0xDA):
            return ""
        else:
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])
