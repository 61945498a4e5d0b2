import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.dedup.foreground import SIDE, canvas_of, foreground, foreground_difference
from stages.image import decode_image
from tests.stages.handmade import resized, save

LIMIT = 0.036
"""Twice the default `max_difference`."""


def object_on(
    canvas: tuple[int, int, int], quadrants: list[tuple[int, int, int]], side: int = 8, width: int = 68
) -> np.ndarray:
    """A square of four colours at (22, 28) of a plain picture, 56 pixels high."""
    pixels = np.full((56, width, 3), canvas, np.uint8)
    half = side // 2
    for number, colour in enumerate(quadrants):
        y, x = 28 + half * (number // 2), 22 + half * (number % 2)
        pixels[y : y + half, x : x + half] = colour
    return pixels


colours = st.tuples(*[st.integers(0, 255)] * 3)
objects = st.builds(
    object_on, colours, st.lists(colours, min_size=4, max_size=4), st.sampled_from([4, 8, 20])
)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return foreground_difference(foreground(first), foreground(second))


@settings(max_examples=60)
@given(objects, objects)
def test_a_difference_is_symmetric_in_its_range_and_zero_for_equals(first, second):
    assert difference(first, first) == 0
    assert difference(first, second) == difference(second, first)
    assert 0 <= difference(first, second) <= 1


@settings(max_examples=30)
@given(objects, st.sampled_from(["png", "webp"]))
def test_a_picture_equals_its_encoding_without_loss(picture, format):
    assert (
        difference(
            picture, decode_image(save(picture, format, **({"lossless": True} if format == "webp" else {})))
        )
        == 0
    )


@settings(max_examples=30)
@given(objects, st.integers(2, 4))
def test_pixels_made_larger_are_the_same_picture(picture, times):
    assert difference(picture, picture.repeat(times, axis=0).repeat(times, axis=1)) < LIMIT


def test_the_canvas_is_what_the_edge_shows():
    assert canvas_of(object_on((255, 255, 255), [(0, 0, 0)] * 4)) == (255, 255, 255)
    touching = object_on((200, 210, 90), [(0, 0, 0)] * 4)
    touching[:, :20] = (10, 20, 30)  # less than half of the edge
    assert canvas_of(touching) == (200, 210, 90)
    noise = np.random.default_rng(0).integers(0, 256, (56, 68, 3)).astype(np.uint8)
    assert canvas_of(noise) is None
    grain = np.random.default_rng(0).integers(0, 8, (56, 68, 3)).astype(np.uint8)
    assert canvas_of(grain) is not None


def test_the_crop_is_the_object_at_its_own_size():
    small = foreground(object_on((255, 255, 255), [(230, 120, 20)] * 4))
    assert small.box == (18, 24, 34, 40)  # a margin of 4 pixels
    assert small.crop.shape == (16, 16, 3)
    large = foreground(object_on((255, 255, 255), [(230, 120, 20)] * 4, side=24).repeat(10, 0).repeat(10, 1))
    assert max(large.crop.shape) == SIDE
    photo = np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8)
    assert foreground(photo).crop.size == 0  # its small picture says enough
    assert foreground(photo[:40, :60]).crop.shape == (40, 60, 3)
    empty = foreground(np.full((90, 90, 3), 7, np.uint8))
    assert empty.box == (0, 0, 90, 90)
    assert foreground_difference(empty, empty) == 0


def test_objects_that_lie_apart_on_a_large_canvas_are_not_drawn_together():
    first, second = (np.full((600, 800, 3), 255, np.uint8) for _ in range(2))
    first[:40, :40], second[-40:, -40:] = 0, 0
    assert difference(first, second) == 1


@pytest.mark.parametrize("quality", [60, 75, 90])
@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_encoding_with_loss_and_another_size_stay_within_the_limit(format, quality):
    quadrants = [(230, 120, 20), (20, 20, 20), (20, 60, 200), (120, 200, 60)]
    picture = object_on((255, 255, 255), quadrants, side=24)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, quality=quality)
    assert 0 < difference(picture, decode_image(buffer.getvalue())) < LIMIT
    assert difference(picture, resized(picture, 102, 84)) < LIMIT
    assert (
        difference(picture, decode_image(save(resized(picture, 34, 28), format, quality=quality)))
        < 1.5 * LIMIT
    )
