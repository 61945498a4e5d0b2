"""How many frames a file holds, counted in its structure: no frame is decoded."""

import struct

from stages.image import png, tiff


def frames_of(data: bytes, kind: str) -> int:
    """Frames of an animation, or pages of a TIFF; 1 for still pictures. AVIF's are counted by its decoder."""
    if kind == "png":
        return png.frames_of(data)
    if kind == "gif":
        return max(1, _gif(data))
    if kind == "webp":
        return max(1, _webp(data))
    return tiff.pages_of(data) if kind == "tiff" else 1


def _gif(data: bytes) -> int:
    """Image descriptors (GIF89a, section 20) up to the trailer, or to where the blocks end or break."""
    frames = 0
    try:
        place = 13 + _table(data[10])
        while True:
            if data[place] == 0x2C:
                frames += 1
                place += 10 + _table(data[place + 9]) + 1  # descriptor, colours, size of the first code
            elif data[place] == 0x21:
                place += 2
            else:
                return frames
            while data[place]:  # blocks, each behind its length
                place += 1 + data[place]
            place += 1
    except IndexError:
        return frames


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> int:
    frames, place = 0, 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        frames += kind == b"ANMF"
        place += 8 + length + length % 2
    return frames
