"""The boxes of an AVIF file (ISO/IEC 14496-12 and 23008-12, AVIF 1.1), read without a decoder."""

import struct
from collections.abc import Iterator
from fractions import Fraction

from stages.image.error import ImageError
from stages.reasons import Reason

_WITHIN = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
"""Boxes that hold others -> bytes before the first of these."""
_MAX_DEPTH = 4


def is_avif(data: bytes) -> bool:
    """Whether `data` begin like an AVIF: by brand, or a general brand that is compatible with it."""
    if data[4:8] != b"ftyp" or len(data) < 16:
        return False
    end = min(struct.unpack_from(">I", data)[0], len(data))
    major, others = data[8:12], {data[place : place + 4] for place in range(16, end, 4)}
    return major in (b"avif", b"avis") or (
        major in (b"mif1", b"msf1") and bool(others & {b"avif", b"avis"}) and b"heic" not in others
    )


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as stored, before rotation: of the largest picture or track in the file.

    Thumbnails, tiles and alpha planes are pictures of their own, and none is larger than what they serve.
    Raises ImageError: TRUNCATED where the boxes go beyond the data, else UNDECODABLE where no size is found.
    """
    sizes: list[tuple[int, int]] = []
    for kind, body in _boxes(data, 0, len(data)):
        if kind == b"ispe":
            sizes.append(struct.unpack_from(">II", data, body.start + 4))
        elif kind == b"tkhd" and len(body) >= 8:
            width, height = struct.unpack_from(">II", data, body.stop - 8)  # 16.16 fixed point
            sizes.append((width >> 16, height >> 16))
    if sizes:
        return max(sizes, key=lambda size: size[0] * size[1])
    if is_cut(data):
        raise ImageError(Reason.TRUNCATED, f"avif of {len(data)} bytes ends before its size is told")
    raise ImageError(Reason.UNDECODABLE, "avif without a size")


def is_deep(data: bytes) -> bool:
    """Whether a picture in the file has more than 8 bits a channel, by its AV1CodecConfigurationRecord."""
    return any(
        kind == b"av1C" and len(body) > 2 and data[body.start + 2] & 0x40
        for kind, body in _boxes(data, 0, len(data))
    )


def crop_of(data: bytes, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom, in stored pixels, of what the primary picture's clean aperture shows.

    Args:
        data: the file.
        size: width and height of the primary picture.

    Returns:
        None where it has no clap box, or one that is no box of whole pixels in it, which viewers pass over.
    """
    try:
        for kind, body in _properties(data):
            if kind == b"clap":
                return _aperture(data, body, size)
    except (struct.error, ZeroDivisionError, IndexError):
        pass
    return None


def _aperture(data: bytes, body: range, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """ISO/IEC 14496-12, 12.1.4: sides, and the distance of its centre from the picture's."""
    numbers = struct.unpack_from(">IIIIiIiI", data, body.start)
    width, height, across, down = (Fraction(numbers[n], numbers[n + 1]) for n in (0, 2, 4, 6))
    left, top = across + (size[0] - width) / 2, down + (size[1] - height) / 2
    edges = (left, top, left + width, top + height)
    if any(edge.denominator != 1 for edge in edges):
        return None
    if not (0 <= edges[0] < edges[2] <= size[0] and 0 <= edges[1] < edges[3] <= size[1]):
        return None
    return int(edges[0]), int(edges[1]), int(edges[2]), int(edges[3])


def _properties(data: bytes) -> list[tuple[bytes, range]]:
    """Kind and body of the boxes that describe the primary picture, in order: by pitm, ipma and ipco."""
    boxes = list(_boxes(data, 0, len(data)))
    primary = next((body for kind, body in boxes if kind == b"pitm"), None)
    table = next((body for kind, body in boxes if kind == b"ipco"), None)
    if primary is None or table is None:
        return []
    (item,) = struct.unpack_from(">H" if data[primary.start] == 0 else ">I", data, primary.start + 4)
    properties = list(_level(data, table.start, table.stop))
    for body in (body for kind, body in boxes if kind == b"ipma"):
        name = ">H" if data[body.start] == 0 else ">I"
        number = ">H" if data[body.start + 3] & 1 else ">B"
        mask = 0x7FFF if number == ">H" else 0x7F
        (entries,) = struct.unpack_from(">I", data, body.start + 4)
        place = body.start + 8
        for _ in range(min(entries, len(body))):
            (described,) = struct.unpack_from(name, data, place)
            place += struct.calcsize(name)
            count, place = data[place], place + 1
            indices = [
                struct.unpack_from(number, data, place + n * struct.calcsize(number))[0] & mask
                for n in range(count)
            ]
            place += count * struct.calcsize(number)
            if described == item:
                return [properties[index - 1] for index in indices if 0 < index <= len(properties)]
    return []


def is_cut(data: bytes) -> bool:
    """Whether a box of the outermost level ends behind the end of the data."""
    return any(body.stop > len(data) for _, body in _level(data, 0, len(data)))


def _boxes(data: bytes, start: int, stop: int, depth: int = 0) -> Iterator[tuple[bytes, range]]:
    """Kind and place of the body of every box, those in `_WITHIN` opened; bodies end with the data."""
    for kind, body in _level(data, start, stop):
        body = range(body.start, min(body.stop, stop))
        yield kind, body
        if kind in _WITHIN and depth < _MAX_DEPTH:
            yield from _boxes(data, body.start + _WITHIN[kind], body.stop, depth + 1)


def _level(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, range]]:
    while start + 8 <= stop:
        length, kind = struct.unpack_from(">I4s", data, start)
        begin = start + 8
        if length == 1 and start + 16 <= stop:
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = start + length if length else stop
        if end < begin:
            return
        yield kind, range(begin, end)
        start = end
