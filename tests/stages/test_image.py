"""Bytes to pixels: every mode that the web serves, and everything that is no image."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from stages.image import ImageError, decode, encode, inspect, is_plain, shrink
from stages.reasons import Reason


def save(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(width: int = 40, height: int = 24) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 6, y * 10, 255 - x * 3], axis=-1).astype(np.uint8)


GRADIENT = gradient()
PICTURE = Image.fromarray(GRADIENT)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "gif", "bmp"])
def test_every_format_is_told_by_its_bytes(format: str) -> None:
    data = save(PICTURE, format)
    header = inspect(data)
    assert (header.format, header.width, header.height) == (format, 40, 24)
    assert decode(data).shape == (24, 40, 3)


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"quality": 80}, {"lossless": True, "exif": b"Exif\0\0"}]
)
def test_each_kind_of_webp_tells_its_size(options: dict[str, object]) -> None:
    header = inspect(save(Image.new("RGB", (300, 77), "red"), "webp", **options))
    assert (header.width, header.height) == (300, 77)


@pytest.mark.parametrize("format", ["png", "bmp"])
def test_lossless_formats_come_back_exactly(format: str) -> None:
    np.testing.assert_array_equal(decode(save(PICTURE, format)), GRADIENT)


def test_exif_orientation_is_applied() -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = save(PICTURE, "png", exif=exif)
        stored = np.asarray(PICTURE)
        expected = {
            1: stored,
            2: stored[:, ::-1],
            3: stored[::-1, ::-1],
            4: stored[::-1],
            5: stored.transpose(1, 0, 2),
            6: np.rot90(stored, -1),
            7: np.rot90(stored, 2).transpose(1, 0, 2),
            8: np.rot90(stored),
        }[orientation]
        np.testing.assert_array_equal(decode(data), expected)
        assert is_plain(data) == (orientation == 1)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = decode(save(Image.fromarray(values), "png"))
    np.testing.assert_array_equal(pixels[..., 0].ravel(), np.arange(256))
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_transparency_is_laid_over_the_background() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 10, 20, 255)
    rgba[0, 1] = (200, 10, 20, 0)
    rgba[1, 0] = (0, 0, 0, 128)
    data = save(Image.fromarray(rgba), "png")
    white, blue = decode(data), decode(data, background="#0000ff")
    assert white[0, 0].tolist() == blue[0, 0].tolist() == [200, 10, 20]
    assert white[0, 1].tolist() == [255, 255, 255]
    assert blue[0, 1].tolist() == [0, 0, 255]
    assert white[1, 0].tolist() == [127, 127, 127]
    assert not is_plain(data)


def test_palette_transparency_and_greys() -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    assert decode(save(palette, "png", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    assert decode(save(palette, "gif", transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    assert decode(save(Image.new("L", (1, 1), 77), "png")).tolist() == [[[77, 77, 77]]]
    assert decode(save(Image.new("1", (1, 1), 1), "png")).tolist() == [[[255, 255, 255]]]
    assert decode(save(Image.new("LA", (1, 1), (77, 0)), "png")).tolist() == [[[255, 255, 255]]]


def test_cmyk_jpeg_is_converted() -> None:
    pixels = decode(save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "jpeg"))
    red, green, blue = pixels[8, 8].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_wide_gamut_profile_is_converted_and_srgb_is_left_alone() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept = save(PICTURE, "png", icc_profile=srgb)
    np.testing.assert_array_equal(decode(kept), GRADIENT)
    assert is_plain(kept)
    # A profile with the red and green primaries exchanged: what it calls red is green in sRGB.
    exchanged = srgb.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    data = save(Image.new("RGB", (4, 4), (255, 0, 0)), "png", icc_profile=exchanged)
    red, green, blue = decode(data)[0, 0].tolist()
    assert green > 240
    assert max(red, blue) < 15
    assert not is_plain(data)


def test_a_broken_profile_does_not_cost_the_image() -> None:
    np.testing.assert_array_equal(decode(save(PICTURE, "png", icc_profile=b"\0" * 200)), GRADIENT)


def test_plain_is_what_any_decoder_reads_alike() -> None:
    assert is_plain(save(PICTURE, "jpeg"))
    assert is_plain(save(PICTURE, "png"))
    assert is_plain(save(PICTURE, "webp"))
    assert not is_plain(save(PICTURE, "gif"))
    assert not is_plain(save(PICTURE.convert("L"), "png"))
    assert not is_plain(save(PICTURE.convert("P"), "png"))
    assert not is_plain(save(PICTURE, "webp", save_all=True, append_images=[Image.new("RGB", (40, 24))]))
    assert not is_plain(b"<html>")
    assert not is_plain(png_of(16, 2, bytes(6)))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "gif", "bmp"])
@pytest.mark.parametrize("part", [0.6, 0.2, 0.03])
def test_cut_files_are_called_truncated(format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = save(Image.fromarray(noise), format)
    with pytest.raises(ImageError) as caught:
        decode(data[: int(len(data) * part)])
    assert caught.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no bytes"),
        (b"<!DOCTYPE html><html><body>gone</body></html>", "html"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"%PDF-1.7 ...", "begins with 25 50 44 46"),
        (b"BMW is a car, not a bitmap", "begins with"),
    ],
)
def test_what_is_no_image(data: bytes, detail: str) -> None:
    with pytest.raises(ImageError, match="not_an_image") as caught:
        decode(data)
    assert detail in caught.value.detail


def test_damage_inside_a_whole_file_is_undecodable() -> None:
    data = bytearray(png_of(8, 2, bytes(3)))
    start = data.index(b"IDAT") + 4
    data[start : start + 8] = b"\xff" * 8
    with pytest.raises(ImageError) as caught:
        decode(bytes(data))
    assert caught.value.reason == Reason.UNDECODABLE


def test_size_is_judged_before_pixels_are_allocated() -> None:
    bombs = [
        png_of(8, 2, b"", width=60_000, height=60_000),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(30),
    ]
    for bomb in bombs:
        with pytest.raises(ImageError) as caught:
            decode(bomb)
        assert caught.value.reason == Reason.TOO_LARGE
    with pytest.raises(ImageError, match="too_large: png of 40 x 24 pixels"):
        decode(save(PICTURE, "png"), max_pixels=959)
    assert decode(save(PICTURE, "png"), max_pixels=960).shape == (24, 40, 3)


def test_shrink_is_the_area_average() -> None:
    pixels = gradient(48, 24)
    expected = pixels.reshape(8, 3, 8, 6, 3).mean((1, 3))
    assert np.abs(shrink(pixels, 8) - expected).max() <= 0.5001
    assert shrink(np.full((5, 7, 3), 9, np.uint8), 4).tolist() == np.full((4, 4, 3), 9).tolist()


def test_encode_comes_back() -> None:
    np.testing.assert_array_equal(decode(encode(GRADIENT, "png")), GRADIENT)
    for format in ("jpeg", "webp"):
        data = encode(GRADIENT, format)
        assert inspect(data).format == format
        assert is_plain(data)
        assert np.abs(decode(data).astype(int) - GRADIENT).mean() < 4
        assert encode(GRADIENT, format) == data
    with pytest.raises(ValueError, match="'tiff': choose one of png, jpeg, webp"):
        encode(GRADIENT, "tiff")


def test_background_must_be_a_colour() -> None:
    with pytest.raises(ValueError, match="'white'"):
        decode(save(PICTURE, "png"), background="white")


def png_of(depth: int, colour: int, row: bytes, width: int = 1, height: int = 1) -> bytes:
    """A PNG written by hand, for what Pillow doesn't write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )
