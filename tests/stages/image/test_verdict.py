"""Which bytes are taken for a picture."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.image import FORMATS, decode_image
from stages.image.limits import ImageLimits, Size
from stages.image.verdict import BLANK_RANGE, Verdict, judge, judge_size
from stages.reasons import Reason
from tests.stages.image.files import gradient, png, save

LIMITS = ImageLimits(min_side=16, max_pixels=2_000, max_aspect=3.0, max_bytes=10_000, drop_blank=True)
PICTURE = Image.fromarray(gradient())


def reason_of(data: bytes, **changes: object) -> str:
    verdict = judge(data, dataclasses.replace(LIMITS, **changes))
    assert not verdict.reason or verdict == Verdict(verdict.reason, verdict.detail)
    return verdict.reason


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_is_told_with_all_that_is_known_of_it(format: str) -> None:
    data = save(PICTURE, format)
    repairs = ("palette",) if format == "gif" else ()
    expected = Verdict("", "", hashlib.sha256(data).hexdigest(), format, 40, 24, 1, repairs)
    assert judge(data, LIMITS) == expected == judge(data, LIMITS)


def test_sizes_are_as_displayed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    verdict = judge(save(PICTURE, "jpeg", exif=exif), LIMITS)
    assert (verdict.width, verdict.height, verdict.repairs) == (24, 40, ("oriented",))


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((16, 16), ""),
        ((15, 16), Reason.TOO_SMALL),
        ((1, 1), Reason.TOO_SMALL),
        ((50, 40), ""),
        ((69, 29), Reason.TOO_LARGE),
        ((48, 16), ""),
        ((49, 16), Reason.TOO_ELONGATED),
    ],
)
def test_limits_of_size_hold_either_way_up(size: tuple[int, int], reason: str) -> None:
    for width, height in (size, size[::-1]):
        assert reason_of(save(Image.fromarray(gradient(width, height)), "png")) == reason
        verdict = judge_size(Size(width, height, 1), LIMITS)
        assert (verdict.reason if verdict else "") == reason


def test_a_bomb_by_aspect_is_refused_by_its_header() -> None:
    bomb = png(8, 0, [], (1_900, 1))  # no pixels behind it: who decodes it calls it truncated
    assert reason_of(bomb, min_side=1) == Reason.TOO_ELONGATED


def test_bytes_beyond_the_limit_are_not_looked_at() -> None:
    data = save(PICTURE, "bmp")
    assert reason_of(data, max_bytes=len(data)) == ""
    assert reason_of(data, max_bytes=len(data) - 1) == Reason.TOO_MANY_BYTES


def test_a_single_colour_is_blank() -> None:
    blank = Image.new("RGB", (20, 20), (10, 200, 30))
    for format in FORMATS:
        assert reason_of(save(blank, format)) == Reason.BLANK
    assert judge(save(blank, "png"), LIMITS).detail == "nothing but #0ac81e"
    assert reason_of(save(blank, "png"), drop_blank=False) == ""
    assert reason_of(save(Image.new("RGB", (1, 1)), "png"), min_side=1) == Reason.BLANK


@pytest.mark.parametrize("channel", range(3))
def test_blank_has_a_tolerance(channel: int) -> None:
    for step, reason in ((BLANK_RANGE, Reason.BLANK), (BLANK_RANGE + 1, "")):
        image = Image.new("RGB", (20, 20), (100, 100, 100))
        image.putpixel((3, 3), tuple(100 + step * (place == channel) for place in range(3)))
        assert reason_of(save(image, "png")) == reason


def test_white_on_nothing_is_a_picture_and_nothing_is_none() -> None:
    logo = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
    assert reason_of(save(logo, "png")) == Reason.BLANK
    logo.putpixel((3, 3), (255, 255, 255, 255))
    assert reason_of(save(logo, "png")) == ""


def test_what_is_no_image_says_so() -> None:
    assert reason_of(b"<html>") == Reason.NOT_AN_IMAGE
    assert reason_of(save(PICTURE, "ico")) == Reason.UNSUPPORTED_FORMAT
    assert reason_of(save(PICTURE, "png")[:-20]) == Reason.TRUNCATED


FILES = [save(PICTURE, format) for format in FORMATS]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(FILES), st.data())
def test_whatever_comes_gets_one_verdict(body: bytes, data: st.DataObject) -> None:
    changed = bytearray(body[: data.draw(st.integers(1, len(body)))])
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    verdict = judge(bytes(changed), LIMITS)
    assert verdict == judge(bytes(changed), LIMITS)
    assert bool(verdict.reason) != bool(verdict.sha256)
    assert verdict.reason == "" or Reason(verdict.reason)


@given(
    sides=st.tuples(st.integers(64, 130), st.integers(64, 130)),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    spot=st.tuples(
        st.floats(0, 1), st.floats(0, 1), st.integers(1, 40), st.integers(-16, 16) | st.integers(-255, 255)
    ),
    quality=st.integers(30, 100),
    subsampling=st.integers(0, 2),
    orientation=st.integers(1, 8),
    progressive=st.booleans(),
    grey=st.booleans(),
)
def test_a_jpeg_is_blank_where_its_pixels_are(
    sides: tuple[int, int],
    colour: tuple[int, ...],
    spot: tuple[float, float, int, int],
    quality: int,
    subsampling: int,
    orientation: int,
    progressive: bool,
    grey: bool,
) -> None:
    """However little of it is looked at: a spot anywhere, an edge of it too, says that it is none."""
    (width, height), (right, down, side, step) = sides, spot
    pixels = np.full((height, width, 3), colour, np.int16)
    x, y = int(right * (width - 1)), int(down * (height - 1))
    pixels[y : y + side, x : x + side] += step
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("L" if grey else "RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = save(image, "jpeg", quality=quality, subsampling=subsampling, progressive=progressive, exif=exif)
    verdict = judge(data, dataclasses.replace(LIMITS, max_pixels=20_000))
    decoded = decode_image(data).reshape(-1, 3).astype(int)
    assert (verdict.reason == Reason.BLANK) == bool((np.ptp(decoded, axis=0) <= BLANK_RANGE).all())
    if not verdict.reason:
        assert (verdict.width, verdict.height) == (sides if orientation < 5 else sides[::-1])
