"""Bytes to pixels: every mode that the web serves, against what its format's specification says it shows."""

import struct

import numpy as np
import pytest
from PIL import Image

from stages.image import (
    FORMATS,
    REPAIRS,
    ImageError,
    decode_image,
    encode_image,
    is_plain,
    picture_of,
    read_header,
    shrink,
)
from stages.reasons import Reason
from tests.stages.image.files import (
    SRGB,
    Chunk,
    bmp,
    chunk,
    gradient,
    linear_grey,
    paper,
    png,
    save,
    tiff,
    with_clap,
)

GRADIENT = gradient()
PICTURE = Image.fromarray(GRADIENT)
NOISE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)

WAYS_UP = {
    1: GRADIENT,
    2: GRADIENT[:, ::-1],
    3: GRADIENT[::-1, ::-1],
    4: GRADIENT[::-1],
    5: GRADIENT.transpose(1, 0, 2),
    6: np.rot90(GRADIENT, -1),
    7: np.rot90(GRADIENT, 2).transpose(1, 0, 2),
    8: np.rot90(GRADIENT),
}
"""What a file that stores `GRADIENT` shows under each EXIF orientation (EXIF 2.3, tag 274)."""


def check(data: bytes, pixels: object, *repairs: str, off: int = 0, frames: int = 1) -> None:
    """The file shows these pixels, or pixels that are `off` by so many levels, after these repairs."""
    seen = picture_of(data)
    pixels = np.asarray(pixels)
    assert seen.image.mode == "RGB"
    assert decode_image(data).shape == (*pixels.shape[:2], 3)
    assert np.abs(decode_image(data).astype(int) - pixels.astype(int)).max() <= off
    assert seen.repairs == repairs
    assert seen.frames == frames
    assert is_plain(data) == (not repairs and seen.format in ("jpeg", "png", "webp"))


def refused(data: bytes, **options: int) -> tuple[Reason, str]:
    with pytest.raises(ImageError) as caught:
        decode_image(data, **options)
    return caught.value.reason, caught.value.detail


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_told_by_its_bytes(format: str) -> None:
    data = save(PICTURE, format)
    header = read_header(data)
    assert (header.format, header.width, header.height) == (format, 40, 24)
    assert picture_of(data).format == format
    loss = {"jpeg": 60, "webp": 60, "avif": 60, "gif": 60}.get(format, 0)  # lossy, or of 256 colours
    check(data, GRADIENT, *(["palette"] if format == "gif" else []), off=loss)


@pytest.mark.parametrize("orientation", WAYS_UP)
def test_orientation_is_applied(orientation: int) -> None:
    expected, exif = WAYS_UP[orientation], oriented(orientation)
    words = ["oriented"] if orientation > 1 else []
    check(save(PICTURE, "png", exif=exif), expected, *words)
    check(save(PICTURE, "webp", lossless=True, exif=exif), expected, *words)
    check(save(PICTURE, "tiff", exif=exif), expected, *words)
    check(save(PICTURE, "tiff", compression="tiff_lzw", exif=exif), expected, *words)
    check(save(PICTURE, "jpeg", subsampling=0, quality=95, exif=exif), expected, *words, off=16)
    late = png(8, 2, list(map(bytes, GRADIENT)), (40, 24), after=[(b"eXIf", exif.tobytes()[6:])])
    check(late, expected, *words)
    assert is_plain(late) == (orientation == 1)
    data = save(PICTURE, "avif", subsampling="4:4:4", quality=95, exif=exif)  # as irot and imir
    check(data, expected, *words, off=16)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_block_does_not_cost_the_image() -> None:
    check(save(PICTURE, "png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), GRADIENT)
    check(save(PICTURE, "webp", lossless=True, exif=oriented(77)), GRADIENT)


def spread(kind: str, size: int = 256) -> np.ndarray:
    """Numbers over the whole range of an integer type, its ends among them: (16, size / 16)."""
    limits = np.iinfo(kind)
    return np.linspace(int(limits.min), int(limits.max), size).round().astype(kind).reshape(16, -1)


def scaled(values: np.ndarray) -> np.ndarray:
    """Definition: the type's range on 0..255, to the nearest."""
    limits = np.iinfo(values.dtype)
    levels = (values.astype(float) - int(limits.min)) / (int(limits.max) - int(limits.min)) * 255
    return np.repeat(np.rint(levels)[..., None], 3, axis=-1)


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
        b"</rdf:RDF></x:xmpmeta>" % orientation
    )


def test_xmp_turns_no_picture() -> None:
    """As in browsers and in libvips; with an EXIF block that says nothing of it or something else as well."""
    silent = Image.Exif()
    silent[0x010F] = "a maker"
    cases: list[tuple[Image.Exif | None, np.ndarray, list[str]]] = [
        (None, GRADIENT, []),
        (silent, GRADIENT, []),
        (oriented(3), WAYS_UP[3], ["oriented"]),
    ]
    for exif, expected, words in cases:
        block = [(b"eXIf", exif.tobytes()[6:])] if exif is not None else []  # saving AVIF takes from it
        options = {"xmp": xmp(6), **({"exif": exif} if exif is not None else {})}
        check(save(PICTURE, "jpeg", subsampling=0, quality=95, **options), expected, *words, off=16)
        check(save(PICTURE, "webp", lossless=True, **options), expected, *words)
        check(save(PICTURE, "avif", subsampling="4:4:4", quality=95, **options), expected, *words, off=16)
        tags = {700: xmp(6), **({0x0112: 3} if words else {})}
        check(save(PICTURE, "tiff", tiffinfo=tags), expected, *words)
        text = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))
        rows = list(map(bytes, GRADIENT))
        check(png(8, 2, rows, (40, 24), before=[*block, text]), expected, *words)
        check(png(8, 2, rows, (40, 24), after=[text, *block]), expected, *words)


def test_the_clean_aperture_of_an_avif_is_what_it_shows() -> None:
    whole = save(PICTURE, "avif", subsampling="4:4:4", quality=95)
    cut = with_clap(whole, [(20, 1), (12, 1), (-4, 1), (3, 1)])
    top, left = 6 + 3, 10 - 4
    check(cut, GRADIENT[top : top + 12, left : left + 20], off=16)
    assert picture_of(cut).size == (20, 12)
    halves = with_clap(whole, [(39, 1), (24, 1), (1, 2), (0, 1)])
    check(halves, GRADIENT[:, 1:], off=16)
    for wrong in (
        [(20, 0), (12, 1), (0, 1), (0, 1)],
        [(40, 1), (24, 1), (5, 1), (0, 1)],
        [(39, 1), (24, 1), (0, 1), (0, 1)],
    ):
        check(with_clap(whole, wrong), GRADIENT, off=16)  # no box of whole pixels in the picture


def test_deep_greys_are_scaled_not_clipped() -> None:
    sixteen = spread("uint16", 4096)
    size = sixteen.shape[1], sixteen.shape[0]
    check(save(Image.fromarray(sixteen), "png"), scaled(sixteen), "deep", "grey")
    check(tiff(size, [16], 1, sixteen.tobytes()), scaled(sixteen), "deep", "grey")
    check(tiff(size, [16], 1, sixteen.astype(">u2").tobytes(), ">"), scaled(sixteen), "deep", "grey")
    check(tiff(size, [16], 0, sixteen.tobytes()), 255 - scaled(sixteen), "deep", "grey")  # WhiteIsZero
    signed = spread("int16", 4096)
    check(tiff(size, [16], 1, signed.tobytes(), more={339: (2,)}), scaled(signed), "deep", "grey")
    for kind, code in (("uint32", 1), ("int32", 2)):
        values = spread(kind)
        data = tiff((16, 16), [32], 1, values.tobytes(), more={339: (code,)})
        check(data, scaled(values), "deep", "grey")


def test_twelve_bits_are_scaled_too() -> None:
    packed = bytes([0x00, 0x07, 0xFF, 0xFF, 0xF8, 0x00])  # 0, 2047, 4095, 2048
    grey = np.rint(np.array([0, 2047, 4095, 2048]) * 255 / 4095)
    check(tiff((4, 1), [12], 1, packed), np.tile(grey[None, :, None], 3), "deep", "grey")


def test_floats_are_taken_from_zero_to_one() -> None:
    values = np.array([[0, 0.25, 0.5, 1], [-3, 7, np.nan, np.inf]], np.float32)
    data = tiff((4, 2), [32], 1, values.tobytes(), more={339: (3,)})
    grey = np.array([[0, 64, 128, 255], [0, 255, 0, 255]])
    check(data, np.repeat(grey[..., None], 3, axis=-1), "deep", "grey")


def test_deep_colours_keep_their_upper_byte() -> None:
    values = np.random.default_rng(1).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    rows = [row.astype(">u2").tobytes() for row in values]
    check(png(16, 2, rows, (8, 8)), np.rint(values / 257), "deep", off=1)
    check(tiff((8, 8), [16] * 3, 2, values.tobytes()), np.rint(values / 257), "deep", off=1)
    white = png(16, 2, [b"\xff\xff" * 3 + b"\0\0" * 3], (2, 1))
    check(white, [[[255] * 3, [0] * 3]], "deep")


def inks(*cmyk: int) -> np.ndarray:
    """Definition without a profile: each colour is the paper that neither its ink nor black covers."""
    c, m, y, k = (value / 255 for value in cmyk)
    return np.rint(255 * (1 - k) * np.array([1 - c, 1 - m, 1 - y]))


@pytest.mark.parametrize("cmyk", [(0, 255, 255, 0), (10, 20, 200, 30), (0, 0, 0, 255), (255, 0, 128, 64)])
def test_inks_become_colours(cmyk: tuple[int, int, int, int]) -> None:
    stored = Image.new("CMYK", (16, 16), cmyk)
    expected = np.tile(inks(*cmyk), (16, 16, 1))
    check(tiff((16, 16), [8] * 4, 5, bytes(cmyk) * 256), expected, "cmyk", off=1)
    data = save(stored, "jpeg", quality=100)
    check(data, expected, "cmyk", off=3)  # JPEGs store 255 - ink, as Adobe does
    assert b"Adobe" in data
    check(data.replace(b"Adobe", b"Other"), expected, "cmyk", off=3)  # ... and browsers expect of all


def test_ycck_is_told_from_cmyk_by_adobes_marker() -> None:
    stored = (180, 100, 150, 200)
    data = bytearray(save(Image.new("CMYK", (16, 16), tuple(255 - v for v in stored)), "jpeg", quality=100))
    data[data.index(b"Adobe") + 11] = 2  # transform: YCCK
    y, cb, cr, k = stored
    red = y + 1.402 * (cr - 128)  # JFIF 1.02
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    # Adobe stores 255 - ink, and takes the complement of C, M, Y for R, G, B.
    shown = [(255 - colour) * k / 255 for colour in (red, green, blue)]
    check(bytes(data), np.tile(np.rint(shown), (16, 16, 1)), "cmyk", off=3)


def over(colour: object, alpha: float, background: int = 255) -> np.ndarray:
    """Definition: Porter and Duff's "over" on an opaque background."""
    return np.rint(np.asarray(colour) * alpha + background * (1 - alpha))


def test_transparency_is_laid_over_the_background() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 10, 20, 255)
    rgba[0, 1] = (200, 10, 20, 0)
    rgba[1, 0] = (0, 0, 0, 128)
    rgba[1, 1] = (255, 100, 0, 51)
    data = save(Image.fromarray(rgba), "png")
    expected = [[over(pixel[:3], pixel[3] / 255) for pixel in row] for row in rgba]
    check(data, expected, "alpha", off=1)
    check(save(Image.fromarray(rgba), "webp", lossless=True, exact=True), expected, "alpha", off=1)
    check(tiff((2, 2), [8] * 4, 2, rgba.tobytes(), more={338: (2,)}), expected, "alpha", off=1)
    blue = decode_image(data, background="#0000ff")
    assert blue[0].tolist() == [[200, 10, 20], [0, 0, 255]]
    # Associated alpha: colours are stored already multiplied (TIFF 6.0, ExtraSamples 1).
    check(tiff((1, 1), [8] * 4, 2, bytes([100, 50, 0, 128]), more={338: (1,)}),
          [[over([199, 100, 0], 128 / 255)]], "alpha", off=2)  # fmt: skip
    # An opaque picture with an alpha channel is the same picture.
    check(save(PICTURE.convert("RGBA"), "png"), GRADIENT, "alpha")
    assert picture_of(save(Image.new("RGBA", (16, 16), (0, 0, 0, 0)), "avif")).repairs == ("alpha",)


def test_greys_with_alpha() -> None:
    expected = [[over([77] * 3, 0), over([77] * 3, 0.2), over([77] * 3, 1)]]
    values = np.array([[[77, 0], [77, 51], [77, 255]]], np.uint8)
    check(png(8, 4, [values.tobytes()], (3, 1)), expected, "grey", "alpha", off=1)
    deep = (values.astype(">u2") * 257).tobytes()
    check(png(16, 4, [deep], (3, 1)), expected, "deep", "grey", "alpha", off=1)
    check(tiff((3, 1), [8, 8], 1, values.tobytes(), more={338: (2,)}), expected, "grey", "alpha", off=1)
    multiplied = bytes([0, 0, 15, 51, 77, 255])
    check(tiff((3, 1), [8, 8], 1, multiplied, more={338: (1,)}), expected, "grey", "alpha", off=2)


PALETTE = [255, 0, 0, 0, 255, 0, 9, 9, 200]
RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [9, 9, 200], [255] * 3


def test_palettes_are_resolved() -> None:
    chunks = [(b"PLTE", bytes(PALETTE))]
    row = bytes([0, 1, 2])
    check(png(8, 3, [row], (3, 1), chunks), [[RED, GREEN, BLUE]], "palette")
    check(png(2, 3, [b"\x18"], (3, 1), chunks), [[RED, GREEN, BLUE]], "palette")
    check(
        png(8, 3, [row], (3, 1), [*chunks, (b"tRNS", b"\xff\x00")]), [[RED, WHITE, BLUE]], "palette", "alpha"
    )
    half = [[over(np.array(RED), 0.2), WHITE, BLUE]]
    check(png(8, 3, [row], (3, 1), [*chunks, (b"tRNS", b"\x33\x00")]), half, "palette", "alpha", off=1)
    image = Image.frombytes("P", (3, 1), row)
    image.putpalette(PALETTE)
    check(save(image, "gif", transparency=1), [[RED, WHITE, BLUE]], "palette", "alpha")
    check(save(image, "bmp"), [[RED, GREEN, BLUE]], "palette")
    check(save(image, "tiff"), [[RED, GREEN, BLUE]], "palette")
    with_alpha = Image.frombytes("PA", (3, 1), bytes([0, 255, 1, 0, 2, 255]))
    with_alpha.putpalette(PALETTE)
    check(save(with_alpha, "tiff"), [[RED, WHITE, BLUE]], "palette", "alpha")


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_that_means_transparent(depth: int) -> None:
    top = (1 << depth) - 1
    values = [0, top, 0, top] if depth == 1 else [0, top // 3, top // 3 * 2, top]
    bits = "".join(f"{value:0{depth}b}" for value in values).ljust(8, "0")
    row = int(bits, 2).to_bytes(len(bits) // 8, "big")
    clear = values[2]
    shown = [255 if value == clear else round(value * 255 / top) for value in values]
    words = ["deep", "grey", "alpha"] if depth == 16 else ["grey", "alpha"]
    data = png(depth, 0, [row], (4, 1), [(b"tRNS", struct.pack(">H", clear))])
    check(data, np.tile(np.array(shown)[None, :, None], 3), *words)


def test_a_colour_that_means_transparent() -> None:
    row = bytes([1, 2, 3, 4, 5, 6])
    check(png(8, 2, [row], (2, 1), [(b"tRNS", struct.pack(">3H", 1, 2, 3))]), [[WHITE, [4, 5, 6]]], "alpha")
    deep = struct.pack(">6H", 0x1101, 0x2202, 0x3303, 0x4404, 0x5505, 0x6606)
    clear = (b"tRNS", struct.pack(">3H", 0x1101, 0x2202, 0x3303))
    check(png(16, 2, [deep], (2, 1), [clear]), [[WHITE, [0x44, 0x55, 0x66]]], "deep", "alpha")


COLOURS = b"\xff\0\0" + b"\0\xff\0"
OPAQUE = np.array([[[255, 0, 0], [0, 255, 0]]])


@pytest.mark.parametrize(
    ("colour", "row", "before", "after", "expected"),
    [
        (3, b"\0\1", [(b"PLTE", COLOURS), (b"tRNS", b"\0\0\0")], [], OPAQUE),  # longer than its palette
        (3, b"\0\1", [(b"PLTE", COLOURS), (b"tRNS", b"")], [], OPAQUE),
        (3, b"\0\1", [(b"tRNS", b"\0"), (b"PLTE", COLOURS)], [], OPAQUE),  # before it
        (3, b"\0\1", [(b"PLTE", COLOURS)], [(b"tRNS", b"\0")], OPAQUE),  # behind the pixels
        (0, b"\x07\x50", [(b"tRNS", b"\x07")], [], np.array([[[7] * 3, [80] * 3]])),
        (0, b"\x07\x50", [(b"tRNS", b"\0\x07\0\0")], [], np.array([[[7] * 3, [80] * 3]])),
        (2, COLOURS, [(b"tRNS", b"\0\xff\0\0\0")], [], OPAQUE),
    ],
)
def test_transparency_that_libpng_passes_over_is_passed_over(
    colour: int, row: bytes, before: list[Chunk], after: list[Chunk], expected: np.ndarray
) -> None:
    data = png(8, colour, [row], (2, 1), before, after)
    picture = picture_of(data, "#0000ff")
    assert np.asarray(picture.image).tolist() == expected.tolist()
    assert "alpha" not in picture.repairs
    assert not is_plain(data)  # other decoders may heed it


def test_the_first_of_two_transparencies_counts() -> None:
    chunks = [(b"PLTE", COLOURS), (b"tRNS", b"\0"), (b"tRNS", b"\xff\0")]
    data = png(8, 3, [b"\0\1"], (2, 1), chunks)
    assert np.asarray(picture_of(data, "#0000ff").image).tolist() == [[[0, 0, 255], [0, 255, 0]]]


WEBP = save(Image.new("RGB", (3, 2), (9, 90, 200)), "webp", lossless=True)
DEEP_MASKS = "bmp with bit masks ffc00000 3ff000 ffc in 32 bits"


def frame(kind: int, bits: int) -> bytes:
    """The frame header of a grey JPEG of 3 x 2 pixels."""
    return bytes([0xFF, kind, 0, 11, bits, 0, 2, 0, 3, 1, 1, 0x11, 0])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tiff((3, 2), [32] * 3, 2, bytes(72), more={339: (3, 3, 3)}), "tiff of 3 x 32 bits, float"),
        (tiff((3, 2), [32] * 3, 2, bytes(72)), "tiff of 3 x 32 bits, unsigned"),
        (tiff((3, 2), [64], 1, bytes(48), more={339: (3,)}), "tiff of 1 x 64 bits, float"),
        (tiff((3, 2), [16], 1, bytes(12), more={339: (3,)}), "tiff of 1 x 16 bits, float"),
        (tiff((3, 2), [5, 6, 5], 2, bytes(12)), "tiff of samples of 5, 6, 5 bits"),
        (tiff((3, 2), [8] * 3, 2, WEBP, more={259: (50001,)}), "tiff with WebP compression"),
        (tiff((3, 2), [8] * 3, 2, bytes(18), more={259: (34712,)}), "tiff with JPEG 2000 compression"),
        (bmp((2, 1), 32, (0xFFC00000, 0x3FF000, 0xFFC), bytes(8)), DEEP_MASKS),
        (bmp((2, 1), 16, (0xF00, 0xF0, 0xF), bytes(4)), "bmp with bit masks f00 f0 f in 16 bits"),
        (b"\xff\xd8" + frame(0xC0, 12) + b"\xff\xd9", "jpeg, of 12 bits"),
        (b"\xff\xd8" + frame(0xC3, 8) + b"\xff\xda\0\x08\x01\x01\0\x01\0\0\xff\xd9", "jpeg, lossless"),
    ],
)  # fmt: skip
def test_variants_that_no_decoder_reads_are_named(data: bytes, name: str) -> None:
    assert refused(data) == (Reason.UNSUPPORTED_FORMAT, name)


def test_usual_bit_masks_are_read_and_a_damaged_file_of_a_usual_kind_is_damaged() -> None:
    data = bmp((2, 1), 16, (0xF800, 0x7E0, 0x1F), struct.pack("<2H", 0xF800, 0x1F))
    check(data, np.array([[[255, 0, 0], [0, 0, 255]]]))
    packed = save(PICTURE, "tiff", compression="tiff_deflate")
    start = packed.index(b"\x78")
    damaged = packed[:start] + bytes(40) + packed[start + 40 :]
    assert refused(damaged)[0] == Reason.UNDECODABLE


def test_single_bits() -> None:
    black_white = [[[0] * 3, WHITE] * 4]
    check(png(1, 0, [b"\x55"], (8, 1)), black_white, "grey")
    check(tiff((8, 1), [1], 1, b"\x55"), black_white, "grey")
    check(tiff((8, 1), [1], 0, b"\xaa"), black_white, "grey")  # WhiteIsZero


def srgb(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: light in [0, 1] as levels in [0, 255]."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_profiles_are_followed_to_srgb_and_srgb_is_left_alone() -> None:
    check(save(PICTURE, "png", icc_profile=SRGB), GRADIENT)
    # A profile with the red and green primaries exchanged: what it calls red is green in sRGB.
    exchanged = SRGB.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    for format in ("png", "tiff", "webp", "jpeg", "avif"):
        options = {"lossless": True} if format == "webp" else {}
        data = save(Image.new("RGB", (16, 16), (255, 0, 0)), format, icc_profile=exchanged, **options)
        check(data, np.tile([0, 255, 0], (16, 16, 1)), "profile", off=15)
    clear = Image.new("RGBA", (1, 2), (255, 0, 0, 255))
    clear.putpixel((0, 1), (255, 0, 0, 0))
    check(save(clear, "png", icc_profile=exchanged), [[[0, 255, 0]], [WHITE]], "profile", "alpha", off=15)


def test_profiles_of_greys_and_inks() -> None:
    greys = np.arange(0, 256, 17, dtype=np.uint8)[None]
    light = np.repeat(srgb(greys / 255)[..., None], 3, axis=-1)
    check(save(Image.fromarray(greys), "png", icc_profile=linear_grey()), light, "profile", "grey", off=2)
    deep = Image.fromarray(greys.astype(np.uint16) * 257)
    check(save(deep, "png", icc_profile=linear_grey()), light, "profile", "deep", "grey", off=2)
    # No, two and four full inks of this press. It has no way back, so no black point to compensate.
    light = ((np.array([100, 60, 20]) + 16) / 116) ** 3  # CIE 15, for L* above 8
    grey = np.repeat(srgb(light)[None, :, None], 3, axis=-1)
    pixels = bytes([0, 0, 0, 0, 255, 0, 255, 0, 255, 255, 255, 255])
    image = Image.frombytes("CMYK", (3, 1), pixels)
    check(save(image, "tiff", icc_profile=paper()), grey, "profile", "cmyk", off=3)


def test_a_profile_of_another_colour_space_or_a_broken_one_is_ignored() -> None:
    check(save(PICTURE, "png", icc_profile=b"\0" * 200), GRADIENT)
    check(save(PICTURE, "png", icc_profile=paper()), GRADIENT)
    check(save(PICTURE, "png", icc_profile=linear_grey()), GRADIENT)
    data = save(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "tiff", icc_profile=SRGB)
    check(data, [[RED]], "cmyk")


@pytest.mark.parametrize("format", ["gif", "webp", "png", "avif", "tiff"])
def test_the_first_frame_is_the_picture(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("#c81414", "#14c814", "#1414c8")]
    options = {"lossless": True} if format == "webp" else {}
    data = save(frames[0], format, save_all=True, append_images=frames[1:], **options)
    words = ["palette", "animated"] if format == "gif" else ["animated"]
    check(data, np.tile([200, 20, 20], (32, 32, 1)), *words, off=3, frames=3)
    still = save(frames[0], format, **options)
    assert picture_of(still).frames == 1


@pytest.mark.filterwarnings("ignore:Invalid APNG")
def test_a_png_whose_still_picture_is_no_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = save(frames[0], "png", save_all=True, append_images=frames[1:], default_image=True)
    check(data, np.tile(RED, (8, 8, 1)), "animated", frames=3)
    many = png(8, 2, [bytes(3)], (1, 1), [(b"acTL", struct.pack(">II", 2**32 - 1, 0))])
    check(many, [[[0] * 3]])  # claims of frames that are not there are no frames


def test_thumbnails_and_masks_are_no_pages() -> None:
    data = tiff((2, 1), [8], 1, b"\x05\x09")
    for kind, frames in ((0, 2), (1, 1), (4, 1)):  # NewSubfileType
        page = struct.pack("<HHHIII", 1, 254, 4, 1, kind, 0)
        words = ["grey", "animated"] if frames == 2 else ["grey"]
        both = data[:-4] + struct.pack("<I", len(data)) + page
        check(both, [[[5] * 3, [9] * 3]], *words, frames=frames)


def test_the_canvas_around_a_small_first_frame_is_nothing() -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette(PALETTE)
    data = bytearray(save(image, "gif"))
    data[6:10] = struct.pack("<HH", 4, 3)  # the logical screen
    expected = np.full((3, 4, 3), 255)
    expected[:2, :2] = GREEN
    check(bytes(data), expected, "palette", "alpha")
    assert decode_image(bytes(data), background="#000000")[2, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("part", [0.6, 0.2, 0.03])
def test_cut_files_are_called_truncated(format: str, part: float) -> None:
    data = save(Image.fromarray(NOISE), format)
    assert refused(data[: int(len(data) * part)])[0] == Reason.TRUNCATED


def test_damage_inside_a_whole_file_is_undecodable() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"\xff" * 9) + chunk(b"IEND", b"")
    assert refused(data)[0] == Reason.UNDECODABLE


@pytest.mark.parametrize("kind", [b"IHDR", b"gAMA", b"IDAT", b"tEXt", b"IEND"])
def test_chunks_of_a_png_are_checked(kind: bytes) -> None:
    good = png(8, 2, [bytes(3)], (1, 1), [(b"gAMA", bytes([0, 0, 177, 143]))], [(b"tEXt", b"a\0b")])
    check(good, [[[0] * 3]])
    data = bytearray(good)
    place = data.index(kind)
    (length,) = struct.unpack_from(">I", data, place - 4)
    data[place + 4 + length] ^= 1  # in the checksum
    assert refused(bytes(data)) == (Reason.UNDECODABLE, f"chunk {kind.decode()} has a wrong checksum")


def test_a_png_ends_with_its_last_chunk() -> None:
    good = png(8, 2, [bytes(3)], (1, 1))
    check(good + b"whatever follows", [[[0] * 3]])
    assert refused(good[:-12]) == (Reason.TRUNCATED, "png that ends without its last chunk")
    assert refused(good[:-1]) == (Reason.TRUNCATED, "png that ends within chunk IEND")


def test_size_is_judged_before_pixels_are_allocated() -> None:
    # 3.6 billion pixels in a kilobyte, the claim in the header; and a frame beyond what a GIF's header tells.
    bomb = png(1, 0, [], (60_000, 60_000))
    assert refused(bomb) == (Reason.TOO_LARGE, "png of 60000 x 60000 pixels")
    gif = bytearray(save(PICTURE, "gif"))
    place = gif.index(b"\x2c", 13 + 3 * 256)
    gif[place + 5 : place + 9] = struct.pack("<HH", 65_535, 65_535)
    assert refused(bytes(gif))[0] == Reason.TOO_LARGE
    gif[place + 5 : place + 9] = struct.pack("<HH", 9_000, 9_000)
    assert refused(bytes(gif), max_pixels=80_000_000) == (Reason.TOO_LARGE, "gif of 9000 x 9000 pixels")
    assert refused(save(PICTURE, "png"), max_pixels=959) == (Reason.TOO_LARGE, "png of 40 x 24 pixels")
    assert decode_image(save(PICTURE, "png"), max_pixels=960).shape == (24, 40, 3)


def test_a_png_that_unpacks_to_more_than_its_size_is_only_its_size() -> None:
    data = png(8, 0, [b"\x07"] + [bytes(1 << 20)] * 64, (1, 1))  # 64 MiB behind a single pixel
    assert len(data) < 100_000
    check(data, [[[7] * 3]], "grey")


def test_words_come_in_their_order() -> None:
    exif = oriented(6)
    image = Image.new("LA", (2, 1), (10, 255))
    moving = {"save_all": True, "append_images": [image.rotate(180)]}
    data = save(image, "png", exif=exif, icc_profile=linear_grey(), **moving)
    words = picture_of(data).repairs
    assert words == tuple(word for word in REPAIRS if word in words)
    assert words[0] == "oriented"


def test_shrink_is_the_area_average() -> None:
    pixels = gradient(48, 24)
    expected = pixels.reshape(8, 3, 8, 6, 3).mean((1, 3))
    assert np.abs(shrink(pixels, 8) - expected).max() <= 0.5001
    assert shrink(np.full((5, 7, 3), 9, np.uint8), 4).tolist() == np.full((4, 4, 3), 9).tolist()


def test_encode_comes_back() -> None:
    np.testing.assert_array_equal(decode_image(encode_image(GRADIENT, "png")), GRADIENT)
    for format in ("jpeg", "webp"):
        data = encode_image(GRADIENT, format)
        assert read_header(data).format == format
        assert is_plain(data)
        assert np.abs(decode_image(data).astype(int) - GRADIENT).mean() < 4
        assert encode_image(GRADIENT, format) == data
    with pytest.raises(ValueError, match="'tiff': choose one of png, jpeg, webp"):
        encode_image(GRADIENT, "tiff")


def test_background_must_be_a_colour() -> None:
    with pytest.raises(ValueError, match="'white'"):
        decode_image(save(PICTURE, "png"), background="white")
