"""The directories of a TIFF file (TIFF 6.0, section 2; BigTIFF), read without a decoder."""

import struct

from stages.image.error import ImageError
from stages.reasons import Reason

MAX_PAGES = 10_000
"""Directories that are followed; files that chain more are taken for having so many."""

_SUBFILE, _WIDTH, _HEIGHT, _DNG = 254, 256, 257, 50706
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8

_BIG = b"II+\0"  # Pillow has no big-endian BigTIFF

Directory = dict[int, tuple[int, ...]]


def is_tiff(data: bytes) -> bool:
    """Whether `data` begin like a TIFF, or a little-endian BigTIFF, but like no raw file of Canon's."""
    return data[:4] in (b"II*\0", b"MM\0*", _BIG) and data[8:10] != b"CR"


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of the first page, in pixels as stored.

    Raises ImageError where the page is but a thumbnail of a camera's raw data (then UNSUPPORTED_FORMAT), or
    has no size; struct.error where the data end before that.
    """
    directory, _, _ = _directory(data, _first(data), (_SUBFILE, _WIDTH, _HEIGHT, _DNG))
    if _DNG in directory or directory.get(_SUBFILE, (0,))[0] & _REDUCED:
        raise ImageError(Reason.UNSUPPORTED_FORMAT, "tiff that begins with a thumbnail, as raw files do")
    if not directory.get(_WIDTH) or not directory.get(_HEIGHT):
        raise ImageError(Reason.UNDECODABLE, "tiff without a size")
    return directory[_WIDTH][0], directory[_HEIGHT][0]


def tags_of(data: bytes, tags: tuple[int, ...]) -> Directory:
    """The whole numbers under these tags in the first page; struct.error where the data end before."""
    return _directory(data, _first(data), tags)[0]


def pages_of(data: bytes) -> int:
    """Pages of a TIFF but thumbnails and masks, 1 to `MAX_PAGES`. Broken chains end where they break, and
    where directories overlap: together they take more bytes than the file has."""
    pages, seen, length = 0, set[int](), 0
    try:
        place = _first(data)
        while place and place not in seen and len(seen) < MAX_PAGES and length <= len(data):
            seen.add(place)
            directory, place, size = _directory(data, place, (_SUBFILE,))
            length += size
            pages += not directory.get(_SUBFILE, (0,))[0] & (_REDUCED | _MASK)
    except struct.error:
        pass
    return max(pages, 1)


def is_cut(data: bytes) -> bool:
    """Whether the first page has strips or tiles that lie, or end, behind the end of the data."""
    try:
        directory, _, _ = _directory(data, _first(data), sum(_PLACES, ()))
    except struct.error:
        return True
    ends = [
        start + length
        for starts, lengths in _PLACES
        for start, length in zip(directory.get(starts, ()), directory.get(lengths, ()), strict=False)
    ]
    return max(ends, default=0) > len(data)


def _first(data: bytes) -> int:
    if data[:4] == _BIG:
        return _unpack("<Q", data, 8)[0]
    return _unpack(_order(data) + "I", data, 4)[0]


def _unpack(layout: str, data: bytes, place: int) -> tuple[int, ...]:
    """The numbers at a byte; struct.error where none are there.

    struct itself raises OverflowError for places beyond 2**63, which a BigTIFF can name.
    """
    return struct.unpack_from(layout, data, min(place, len(data)))


def _order(data: bytes) -> str:
    return "<" if data[:1] == b"I" else ">"


def _directory(data: bytes, place: int, tags: tuple[int, ...]) -> tuple[Directory, int, int]:
    """The whole numbers under `tags` in the directory at byte `place`, the place of the next, where 0 ends
    the chain, and the bytes that it takes."""
    start = place
    order = _order(data)
    number, entry, offset = ("Q", "HHQ", "Q") if data[:4] == _BIG else ("H", "HHI", "I")
    (entries,) = _unpack(order + number, data, place)
    place += struct.calcsize(order + number)
    inline = struct.calcsize(order + offset)
    directory: Directory = {}
    for _ in range(entries):
        tag, kind, count = _unpack(order + entry, data, place)
        place += struct.calcsize(order + entry)
        if tag in tags and kind in _FORMATS and 0 < count <= len(data):
            values = f"{order}{count}{_FORMATS[kind]}"
            where = place
            if struct.calcsize(values) > inline:
                (where,) = _unpack(order + offset, data, place)
            directory[tag] = _unpack(values, data, where)
        place += inline
    return directory, _unpack(order + offset, data, place)[0], place + inline - start
