"""What a file says of itself: told by its bytes, before a pixel is allocated."""

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.image import FORMATS, Header, ImageError, picture_of, read_header
from stages.image.avif import is_deep
from stages.image.frames import frames_of
from stages.image.header import is_cut
from stages.reasons import Reason
from tests.stages.image.files import BIGTIFF_BEYOND, avif, box, mutations, png, save, tiff

PICTURE = Image.effect_noise((300, 77), 90).convert("RGB")
FILES = {format: save(PICTURE, format) for format in FORMATS}


def refused(data: bytes) -> tuple[Reason, str]:
    with pytest.raises(ImageError) as caught:
        read_header(data)
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"quality": 80}, {"lossless": True, "exif": b"Exif\0\0"}]
)
def test_each_kind_of_webp_tells_its_size(options: dict[str, object]) -> None:
    assert read_header(save(PICTURE, "webp", **options)) == Header("webp", 300, 77)


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_tiffs_of_both_orders_and_big_ones(order: str, big: bool) -> None:
    data = tiff((3, 2), [8], 1, bytes(range(6)), order, big)
    assert read_header(data) == Header("tiff", 3, 2)
    assert picture_of(data).image.getchannel(0).tobytes() == bytes(range(6))


def test_a_raw_files_thumbnail_is_not_its_picture() -> None:
    for more in ({254: (1,)}, {50706: (1,)}):
        assert refused(tiff((3, 2), [8], 1, bytes(6), more=more))[0] == Reason.UNSUPPORTED_FORMAT


def test_the_largest_picture_of_an_avif_counts() -> None:
    assert read_header(avif((64, 48), (640, 480), (64, 48))) == Header("avif", 640, 480)
    track = box(b"tkhd", bytes(76) + struct.pack(">II", 320 << 16, 200 << 16))
    sequence = box(b"ftyp", b"avis\0\0\0\0avis") + box(b"moov", box(b"trak", track))
    assert read_header(sequence) == Header("avif", 320, 200)
    assert refused(avif()) == (Reason.UNDECODABLE, "avif without a size")


def test_depth_of_an_avif_is_in_its_configuration() -> None:
    assert is_deep(avif((1, 1), deep=True))
    assert not is_deep(avif((1, 1)))
    assert not is_deep(FILES["avif"])


def test_junk_between_a_jpegs_segments_is_passed_over() -> None:
    data = FILES["jpeg"]
    (length,) = struct.unpack_from(">H", data, 4)
    junk = data[: 4 + length] + b"between" + data[4 + length :]
    assert read_header(junk) == Header("jpeg", 300, 77)
    assert picture_of(junk).image == picture_of(data).image


def test_a_claim_is_refused_before_a_decoder_sees_it() -> None:
    bombs = [
        png(8, 2, [], (60_000, 60_000)),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(30),
        tiff((60_000, 60_000), [8], 1, b""),
        avif((60_000, 60_000)),
        b"GIF89a\xff\xff\xff\xff\0\0\0",
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(28),
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03" + bytes(9),
    ]
    for bomb in bombs:
        with pytest.raises(ImageError) as caught:
            picture_of(bomb)
        assert caught.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no bytes"),
        (b"<!DOCTYPE html><html><body>gone</body></html>", "html"),
        (b"\xef\xbb\xbf\r\n <HTML>", "html"),
        ("\ufeff<html>".encode("utf-16-le"), "html"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"<svg/>", "svg"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "xml"),
        (b"%PDF-1.7 ...", "begins with 25 50 44 46"),
        (b"BMW is a car, not a bitmap", "begins with"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "begins with"),
    ],
)
def test_what_is_no_image(data: bytes, detail: str) -> None:
    reason, message = refused(data)
    assert reason == Reason.NOT_AN_IMAGE
    assert message.startswith(detail)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heif"),
        (b"\xff\x0a\x00\x10", "jpeg xl"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n....", "jpeg xl"),
        (save(PICTURE, "jpeg2000"), "jpeg 2000"),
        (save(PICTURE, "ico"), "ico"),
        (save(PICTURE, "ppm"), "netpbm"),
        (save(PICTURE, "dds"), "dds"),
        (save(PICTURE, "qoi"), "qoi"),
        (tiff((3, 2), [8], 1, bytes(6), ">", big=True), "big-endian bigtiff"),
        (b"8BPS\0\1", "psd"),
        (b"II*\0\x10\0\0\0CR\x02\0", "cr2"),
    ],
)
def test_pictures_that_are_not_read_are_named(data: bytes, name: str) -> None:
    assert refused(data) == (Reason.UNSUPPORTED_FORMAT, name)


@given(st.sampled_from(FORMATS), st.data())
def test_any_beginning_gives_the_header_or_one_reason(format: str, data: st.DataObject) -> None:
    """Nothing but ImageError leaves, whatever is cut off or changed; what is whole is told right."""
    body = FILES[format]
    end = data.draw(st.integers(0, min(len(body), 2000)))
    changed = bytearray(body[:end])
    for place in data.draw(st.lists(st.integers(0, 200), max_size=4)):
        if place < len(changed):
            changed[place] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(changed))
    except ImageError:
        pass
    else:
        assert min(header.width, header.height) >= 1
    assert read_header(body) == Header(format, 300, 77)


SMALL = [
    *(save(Image.effect_noise((8, 6), 90).convert("RGB"), format) for format in FORMATS),
    save(Image.effect_noise((8, 6), 90).convert("RGBA"), "webp", lossless=True),
    tiff((3, 2), [8], 1, bytes(6), big=True),
]


@pytest.mark.parametrize("number", range(len(SMALL)))
def test_ten_thousand_damaged_headers_of_a_format_each_give_a_header_or_a_reason(number: int) -> None:
    """What is asked of a file's structure alone, of a good header or a damaged one, raises nothing else."""
    reasons: Counter[str] = Counter()
    for data in mutations(SMALL[number], 10_000, seed=number):
        try:
            header = read_header(data)
        except ImageError as error:
            reasons[error.reason] += 1
        else:
            assert min(header.width, header.height) >= 1
            assert frames_of(data, header.format) >= 1
        assert is_cut(data, FORMATS[number % len(FORMATS)]) in (True, False)
    assert len(reasons) > 1  # the damage is of more than one kind


@pytest.mark.parametrize("length", [16, 17, 40])
def test_a_place_that_is_too_large_for_struct_lies_beyond_the_file(length: int) -> None:
    data = BIGTIFF_BEYOND.ljust(length, b"\0")
    assert refused(data) == (Reason.TRUNCATED, f"tiff of {length} bytes ends before its size is told")
    first = tiff((3, 2), [8], 1, bytes(6), big=True)
    chained = first[:-8] + b"\xff" * 8  # the next directory of a good one
    assert picture_of(chained).frames == 1


def test_directories_that_overlap_are_not_followed_for_ever() -> None:
    """Each of 2,000 directories begins 12 bytes behind the one before: 4 million entries in 48 kB."""
    count, start = 2000, 8
    data = bytearray(b"II*\0" + struct.pack("<I", start) + bytes(12 * 2 * count + 6))
    for number in range(count):
        place = start + 12 * number
        struct.pack_into("<H", data, place, count)
        struct.pack_into("<I", data, place + 2 + 12 * count, place + 12)
    assert frames_of(bytes(data), "tiff") < 5
