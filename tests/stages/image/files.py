"""Image files written by hand, byte by byte, for what Pillow doesn't write."""

import io
import random
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageCms

Chunk = tuple[bytes, bytes]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def save(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(width: int = 40, height: int = 24) -> np.ndarray:
    """(H, W, 3) uint8, no two rows or columns alike."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 6, y * 10, 255 - x * 3], axis=-1).astype(np.uint8)


def png(
    depth: int,
    colour: int,
    rows: Sequence[bytes],
    size: tuple[int, int],
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
) -> bytes:
    """A PNG of `rows`, with further chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, body)
        for kind, body in [(b"IHDR", header), *before, (b"IDAT", pixels), *after, (b"IEND", b"")]
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(
    size: tuple[int, int],
    bits: Sequence[int],
    photometric: int,
    pixels: bytes,
    order: str = "<",
    big: bool = False,
    more: Mapping[int, tuple[int, ...]] | None = None,
) -> bytes:
    """A TIFF, or BigTIFF, of one uncompressed strip; `more` are tags whose values are SHORTs."""
    shorts = {
        256: (size[0],), 257: (size[1],), 258: tuple(bits), 259: (1,), 262: (photometric,),
        277: (len(bits),), 278: (size[1],), **(more or {}),
    }  # fmt: skip
    number, offset = ("Q", "Q") if big else ("H", "I")
    start = 16 if big else 8
    inline = struct.calcsize("<" + offset)
    place = start + len(pixels)
    directory_at = place + sum(2 * len(v) for v in shorts.values() if 2 * len(v) > inline)
    body, entries = b"", b""
    longs = {273: start, 279: len(pixels)}
    for tag in sorted([*shorts, *longs]):
        if tag in longs:
            kind, count, value = 4, 1, struct.pack(order + "I", longs[tag])
        else:
            kind, count = 3, len(shorts[tag])
            value = struct.pack(f"{order}{count}H", *shorts[tag])
        if len(value) > inline:
            body += value
            value = struct.pack(order + offset, place + len(body) - len(value))
        entries += struct.pack(f"{order}HH{offset}", tag, kind, count) + value.ljust(inline, b"\0")
    magic = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0) if big else (42,)), directory_at)
    head = (b"II" if order == "<" else b"MM") + magic
    assert len(head) == start
    count = struct.pack(order + number, len(shorts) + len(longs))
    return head + pixels + body + count + entries + struct.pack(order + offset, 0)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def avif(*sizes: tuple[int, int], deep: bool = False) -> bytes:
    """The header of an AVIF that tells of pictures of these sizes; there are no pixels behind it."""
    record = box(b"av1C", bytes([0x81, 0, 0x40 if deep else 0, 0]))
    boxes = b"".join(box(b"ispe", bytes(4) + struct.pack(">II", *size)) for size in sizes)
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", boxes + record)))
    return box(b"ftyp", b"avif\0\0\0\0avifmif1") + meta


def with_clap(data: bytes, aperture: Sequence[tuple[int, int]]) -> bytes:
    """An AVIF of one picture, as libavif writes it, with a clean aperture: width, height, and how far its
    centre lies to the right and below the picture's, each as a fraction."""
    clap = box(b"clap", b"".join(struct.pack(">iI", *fraction) for fraction in aperture))
    out = bytearray(data)

    def body_of(kind: bytes) -> int:
        return out.index(kind) + 4

    ipco, ipma = body_of(b"ipco"), body_of(b"ipma")
    (length,) = struct.unpack_from(">I", out, ipco - 8)
    properties = 0
    place = ipco
    while place < ipco - 8 + length:
        properties += 1
        place += struct.unpack_from(">I", out, place)[0]
    assert out[ipma : ipma + 4] == bytes(4)  # version 0: items of two bytes, properties of one
    count_at = ipma + 4 + 4 + 2
    end = count_at + 1 + out[count_at]
    out[count_at] += 1
    out[end:end] = bytes([0x80 | properties + 1])
    out[place:place] = clap
    for kind, more in (
        (b"ipma", 1),
        (b"ipco", len(clap)),
        (b"iprp", 1 + len(clap)),
        (b"meta", 1 + len(clap)),
    ):
        at = out.index(kind) - 4
        struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + more)
    iloc = body_of(b"iloc")
    assert out[iloc] == 0
    assert out[iloc + 4] >> 4 == 4  # offsets of four bytes
    (items,) = struct.unpack_from(">H", out, iloc + 6)
    at = iloc + 8
    for _ in range(items):
        at += 4 + (out[iloc + 5] >> 4)
        (extents,) = struct.unpack_from(">H", out, at)
        at += 2
        for _ in range(extents):
            struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + 1 + len(clap))
            at += 4 + (out[iloc + 4] & 15)
    return bytes(out)


def bmp(size: tuple[int, int], depth: int, masks: Sequence[int], pixels: bytes) -> bytes:
    """A BMP whose colours lie under bit masks (BI_BITFIELDS)."""
    start = 14 + 40 + 4 * len(masks)
    head = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, *size, 1, depth, 3, len(pixels), 0, 0, 0, 0)
    return head + info + struct.pack(f"<{len(masks)}I", *masks) + pixels


def profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """An ICC profile (ICC.1:2001-04) of these tags; its white is D50."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _D50, b"cprt": b"text\0\0\0\0\0", b"desc": _DESCRIPTION, **tags}
    table, body, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", place + len(body), len(value))
        body += value
    head = struct.pack(
        ">I4s4s4s4s4s12s4s4s", place + len(body), b"\0\0\0\0", b"\x02\x10\0\0", kind, space, connection,
        bytes(12), b"acsp", b"\0\0\0\0",
    ).ljust(68, b"\0")  # fmt: skip
    return (head + _D50).ljust(128, b"\0") + table + body


_D50 = struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
_DESCRIPTION = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(12 + 67)


def linear_grey() -> bytes:
    """The profile of greys that are proportional to light."""
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": b"curv\0\0\0\0\0\0\0\0"})


def paper() -> bytes:
    """The profile of a press whose inks make every colour a grey: L* falls by 20 with each full ink, to 20.

    A table of two steps for each of four inks (lut8Type), L* as 255/100 a level, a* and b* 0 (128).
    """
    identity = bytes(range(256))
    grid = b"".join(
        bytes([round((100 - 20 * bin(inks).count("1")) * 2.55), 128, 128]) for inks in range(16)
    )  # the last ink changes fastest, as in the bits of a number
    matrix = struct.pack(">9i", *(0x10000 if at % 4 == 0 else 0 for at in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + grid + identity * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


BIGTIFF_BEYOND = b"II+\0\x08\0\0\0" + b"\xff" * 8
"""A BigTIFF whose directory lies beyond 2**63: a place that struct takes for no place at all."""

_NUMBERS = (b"\0", b"\xff", b"\x7f\xff", b"\0" * 4, b"\xff" * 4, b"\x80\0\0\0", b"\xff" * 8)


def mutations(body: bytes, count: int, seed: int, head: int = 400) -> Iterator[bytes]:
    """`body` damaged in its first `head` bytes, `count` times: bytes changed, numbers at their limits, parts
    left out, put in twice or cut off. The same seed gives the same damage."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(min(head, len(data)) + 1)
            kind = chance.randrange(6)
            if kind < 2:
                data[place : place + 1] = bytes([chance.randrange(256)])
            elif kind < 4:
                number = chance.choice(_NUMBERS)
                data[place : place + len(number)] = number
            elif kind == 4:
                data[place:place] = data[place : place + chance.randint(1, 40)]
            else:
                del data[place : place + chance.choice((1, 4, 20, len(data)))]
        yield bytes(data)
