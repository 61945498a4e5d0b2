"""Hostile bodies: mutations of valid images of every format, and bombs, by number."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from PIL import Image, ImageCms

from stages.image import FORMATS

SIDE = 7_000
"""Pixels: a square of this side is just below the default of max_pixels."""


def body(seed: int) -> tuple[str, bytes]:
    """Name and bytes of a hostile body: a mutation of a valid image, or one of the bombs, by turns."""
    rng = random.Random(seed)
    makers = [*(_mutated(mutation) for mutation in MUTATIONS), _bomb]
    return makers[seed % len(makers)](rng, seed // len(makers))


def _mutated(
    mutation: Callable[[random.Random, str, bytes], bytes],
) -> Callable[[random.Random, int], tuple[str, bytes]]:
    def make(rng: random.Random, turn: int) -> tuple[str, bytes]:
        kind = FORMATS[turn % len(FORMATS)]
        return f"{kind} {mutation.__name__}", mutation(rng, kind, _valid(kind, turn // len(FORMATS) % 3))

    return make


def _bomb(rng: random.Random, turn: int) -> tuple[str, bytes]:
    bomb = BOMBS[turn % len(BOMBS)]
    return bomb.__name__, bomb(rng)


@cache
def _valid(kind: str, variant: int) -> bytes:
    """A picture of noise in this format: still, moving where it can be, or with profile and EXIF."""
    noise = Image.effect_noise((97, 61), 80).convert("RGB" if variant else "L")
    options: dict[str, object] = {}
    if variant == 1 and kind in ("gif", "png", "webp", "tiff", "avif"):
        options = {"save_all": True, "append_images": [noise.rotate(180)]}
    if variant == 1 and kind == "jpeg":
        options = {"progressive": True}
    if variant == 2 and kind not in ("gif", "bmp"):
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif, "icc_profile": _profile()}
    return _saved(noise, kind, **options)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def flips(rng: random.Random, kind: str, data: bytes) -> bytes:
    """Single bits turned, in a PNG with the checksums set right, so that the damage reaches its decoder."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 10, 100))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return _checked(bytes(changed)) if kind == "png" else bytes(changed)


def cuts(rng: random.Random, kind: str, data: bytes) -> bytes:
    """The end is missing, or a part in the middle."""
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:start] if rng.random() < 0.5 else data[:start] + data[stop:]


def lies(rng: random.Random, kind: str, data: bytes) -> bytes:
    """Numbers near the start, where sizes and lengths are, replaced by extreme ones."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        number = rng.choice(
            (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\x1f\xff", b"\xff\x1f\0\0")
        )
        place = rng.randrange(4, min(len(changed) - 4, 400))
        changed[place : place + rng.choice((1, 2, 4))] = number
    return _checked(bytes(changed)) if kind == "png" else bytes(changed)


def repeats(rng: random.Random, kind: str, data: bytes) -> bytes:
    """A part, such as a chunk, comes many times."""
    if kind == "png":
        chunks = _chunks(data)
        place = rng.randrange(len(chunks))
        return data[:8] + b"".join(chunks[:place] + chunks[place : place + 1] * 2_000 + chunks[place:])
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:stop] + data[start:stop] * rng.choice((1, 10, 500)) + data[stop:]


def joins(rng: random.Random, kind: str, data: bytes) -> bytes:
    """The start of one file with the rest, or the whole, of another, of any format."""
    other = _valid(rng.choice(FORMATS), rng.randrange(3))
    cut = rng.choice((len(data), rng.randrange(len(data)), 64))
    return data[:cut] + other[rng.choice((0, cut)) :]


def noise(rng: random.Random, kind: str, data: bytes) -> bytes:
    """A header, then nothing that means anything."""
    return data[: rng.randrange(12, 200)] + rng.randbytes(rng.choice((10, 1_000, 100_000)))


MUTATIONS = (flips, cuts, lies, repeats, joins, noise)


def png_of_zeros(rng: random.Random) -> bytes:
    """A picture as large as may be, in some kilobytes: 16-bit RGBA, so that it unpacks to 400 MB."""
    return _png(SIDE, SIDE, 16, 6, _zeros(SIDE * (1 + 8 * SIDE)))


def png_that_goes_on(rng: random.Random) -> bytes:
    """Half a gigabyte behind a picture of 20 x 20."""
    return _png(20, 20, 8, 2, _zeros(1 << 29))


def png_with_packed_texts(rng: random.Random) -> bytes:
    """Texts and a profile that unpack to 100 MB each."""
    packed = _zeros(100_000_000)
    told = [(b"zTXt", b"a\0\0" + packed)] * 3 + [(b"iCCP", b"a\0\0" + packed)]
    return _png(20, 20, 8, 2, zlib.compress(bytes(20 * 61)), told)


def png_of_many_chunks(rng: random.Random) -> bytes:
    """A million chunks of nothing."""
    return _png(20, 20, 8, 2, zlib.compress(bytes(20 * 61)), [(b"tEXt", b"")] * 1_000_000)


def gif_of_zeros(rng: random.Random) -> bytes:
    """A picture as large as may be, with transparency."""
    return _saved(Image.new("P", (SIDE, SIDE)), "gif", transparency=0)


def gif_of_many_frames(rng: random.Random) -> bytes:
    """A million frames of one pixel."""
    data = _saved(Image.new("P", (20, 20)), "gif")
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return data[:-1] + frame * 1_000_000 + b";"


def webp_of_zeros(rng: random.Random) -> bytes:
    """A picture as large as may be, moving and transparent."""
    frames = [Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, n)) for n in (0, 9)]
    return _saved(frames[0], "webp", lossless=True, method=0, save_all=True, append_images=frames[1:])


def tiff_of_zeros(rng: random.Random) -> bytes:
    """Floats as many as may be: 200 MB in some kilobytes."""
    return _saved(Image.new("F", (SIDE, SIDE)), "tiff", compression="tiff_adobe_deflate")


def tiff_in_circles(rng: random.Random) -> bytes:
    """The directory of the next page is the first one again."""
    data = bytearray(_saved(Image.new("L", (20, 20), 7), "tiff"))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    return bytes(data)


def jpeg_of_many_scans(rng: random.Random) -> bytes:
    """The last scan of a progressive JPEG some thousand times: each goes over all its coefficients."""
    data = _saved(Image.new("RGB", (SIDE, SIDE), "red"), "jpeg", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * (4_000_000 // len(scan)) + b"\xff\xd9"


def jpeg_of_zeros(rng: random.Random) -> bytes:
    """Four inks, as large as may be, to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 5
    return _saved(Image.new("CMYK", (SIDE, SIDE)), "jpeg", exif=exif, progressive=True)


def exif_in_circles(rng: random.Random) -> bytes:
    """Directories of EXIF that point at themselves."""
    entry = struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">HHII", 0x8825, 4, 1, 8)
    told = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + entry + struct.pack(">I", 8)
    return _saved(Image.new("RGB", (20, 20)), "jpeg", exif=told)


def avif_in_boxes(rng: random.Random) -> bytes:
    """Boxes in boxes in boxes."""
    inner = b""
    for _ in range(3_000):
        inner = struct.pack(">I4s", 12 + len(inner), b"meta") + bytes(4) + inner
    return struct.pack(">I4s", 24, b"ftyp") + b"avif\0\0\0\0avifmif1" + inner


def avif_of_zeros(rng: random.Random) -> bytes:
    """A picture of 20 million pixels, moving."""
    frames = [Image.new("RGBA", (5_000, 4_000), (n, 0, 0, n)) for n in (0, 9)]
    return _saved(frames[0], "avif", speed=10, save_all=True, append_images=frames[1:])


BOMBS = (
    png_of_zeros,
    png_that_goes_on,
    png_with_packed_texts,
    png_of_many_chunks,
    gif_of_zeros,
    gif_of_many_frames,
    webp_of_zeros,
    tiff_of_zeros,
    tiff_in_circles,
    jpeg_of_many_scans,
    jpeg_of_zeros,
    exif_in_circles,
    avif_in_boxes,
    avif_of_zeros,
)


def _zeros(size: int) -> bytes:
    packer, step = zlib.compressobj(9), bytes(1 << 20)
    return b"".join(packer.compress(step[: size - at]) for at in range(0, size, len(step))) + packer.flush()


def _chunk(kind: bytes, told: bytes) -> bytes:
    return struct.pack(">I", len(told)) + kind + told + struct.pack(">I", zlib.crc32(kind + told))


def _png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    packed: bytes,
    told: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *(told or []), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunks(data: bytes) -> list[bytes]:
    found, place = list[bytes](), 8
    while place + 12 <= len(data):
        end = place + 12 + struct.unpack_from(">I", data, place)[0]
        found.append(data[place:end])
        place = end
    return found


def _checked(data: bytes) -> bytes:
    """A PNG with the checksums of the chunks that can still be told apart set right."""
    return data[:8] + b"".join(
        _chunk(chunk[4:8], chunk[8:-4]) if len(chunk) >= 12 else chunk for chunk in _chunks(data)
    )
