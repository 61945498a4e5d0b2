"""The chunks of a PNG file (PNG third edition, section 5) and their checksums, which Pillow half ignores."""

import struct
import zlib
from collections.abc import Iterator

from stages.image.error import ImageError
from stages.reasons import Reason

_START = 8
_BEFORE_PIXELS = (b"eXIf", b"iCCP", b"tRNS", b"tEXt", b"zTXt", b"iTXt", b"acTL")


def check(data: bytes) -> None:
    """Raise ImageError: UNDECODABLE where a chunk is not as its CRC-32 says, TRUNCATED without IEND.

    What follows the IEND chunk is not looked at.
    """
    view = memoryview(data)
    kind = b""
    for kind, body in chunks(data):
        if body.stop + 4 > len(data):
            raise ImageError(Reason.TRUNCATED, f"png that ends within chunk {_name(kind)}")
        (expected,) = struct.unpack_from(">I", data, body.stop)
        if zlib.crc32(view[body.start - 4 : body.stop]) != expected:
            raise ImageError(Reason.UNDECODABLE, f"chunk {_name(kind)} has a wrong checksum")
    if kind != b"IEND":
        raise ImageError(Reason.TRUNCATED, "png that ends without its last chunk")


def frames_of(data: bytes) -> int:
    """Frames of an animated PNG, and its still picture where that is none of them; 1 if nothing moves."""
    kinds = [kind for kind, _ in chunks(data) if kind in (b"acTL", b"fcTL", b"IDAT")]
    if b"IDAT" not in kinds or b"acTL" not in kinds[: kinds.index(b"IDAT")]:
        return 1
    return max(1, kinds.count(b"fcTL") + (b"fcTL" not in kinds[: kinds.index(b"IDAT")]))


def has_late_metadata(data: bytes) -> bool:
    """Whether something that matters for the pixels, as orientation does, may stand behind them."""
    kinds = [kind for kind, _ in chunks(data) if kind == b"IDAT" or kind in _BEFORE_PIXELS]
    return b"IDAT" in kinds and any(kind != b"IDAT" for kind in kinds[kinds.index(b"IDAT") :])


def ignored_transparency(data: bytes) -> list[range]:
    """Places of tRNS chunks, whole, that libpng passes over and so do browsers: longer than the palette, of
    the wrong length for the colour type, before the palette, behind the pixels, or said twice."""
    colour, palette, pixels, valid = data[25], 0, False, False
    result: list[range] = []
    for kind, body in chunks(data):
        if kind == b"PLTE":
            palette = min(len(body) // 3, 1 << data[24])
        pixels |= kind == b"IDAT"
        if kind == b"tRNS":
            length = len(body)
            fits = {0: length == 2, 2: length == 6, 3: 0 < length <= palette}.get(colour, False)
            if fits and not pixels and not valid:
                valid = True
            else:
                result.append(range(body.start - 8, body.stop + 4))
    return result


def without_chunks(data: bytes, places: list[range]) -> bytes:
    """The file without some of its chunks."""
    ends = [0, *(place.stop for place in places)]
    starts = [*(place.start for place in places), len(data)]
    return b"".join(data[end:start] for end, start in zip(ends, starts, strict=True))


def chunks(data: bytes) -> Iterator[tuple[bytes, range]]:
    """Kind and place of the body of every chunk up to IEND; the last may go beyond the data."""
    place, kind = _START, b""
    while place + 8 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, range(place + 8, place + 8 + length)
        place += 12 + length


def _name(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else repr(kind)
