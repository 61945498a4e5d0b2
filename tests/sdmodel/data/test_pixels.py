import io

import numpy as np
import pytest
import torch
from PIL import Image

from sdmodel.data.pixels import decode, fit, to_float, to_uint8


def test_shrinking_averages_areas():
    blocks = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    small = fit(Image.fromarray(blocks), 2)
    assert small[..., 0].tolist() == [[25, 45], [105, 125]]  # means of the 2 x 2 blocks


def test_the_centre_is_cropped():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200
    assert (fit(Image.fromarray(pixels), 10) == 200).all()
    assert (fit(Image.fromarray(pixels.transpose(1, 0, 2)), 10) == 200).all()


@pytest.mark.parametrize("size", [(7, 5), (5, 300), (64, 64)])
def test_every_size_is_covered(size: tuple[int, int]):
    assert fit(Image.new("RGB", size, (9, 8, 7)), 32).tolist() == [[[9, 8, 7]] * 32] * 32


def test_bytes_survive_the_way_to_floats_and_back():
    every = torch.arange(256, dtype=torch.uint8)
    floats = to_float(every)
    assert floats.dtype == torch.float32
    assert (floats.min(), floats.max()) == (-1, 1)
    assert (to_uint8(floats) == every).all()
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_what_pillow_cannot_read_is_an_os_error():
    with pytest.raises(OSError, match="cannot identify"):
        decode(b"<html>", 8)
    whole = io.BytesIO()
    Image.new("RGB", (50, 50)).save(whole, "PNG")
    with pytest.raises(OSError, match="truncated"):
        decode(whole.getvalue()[:60], 8)


def test_other_shapes_are_covered_and_cropped_at_the_centre():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 10:50] = 200
    assert (fit(Image.fromarray(pixels), (10, 20)) == 200).all()
    assert fit(Image.fromarray(pixels), (64, 16)).shape == (64, 16, 3)
    whole = fit(Image.fromarray(pixels), (20, 60))
    assert (whole == pixels).all()


def test_no_width_reaches_beyond_the_pictures_edge():
    for size in (24, 56, 112, 100):
        for side in range(20, 260, 3):
            for shape in ((side, side + 7), (side + 5, side)):
                assert fit(Image.new("RGB", shape), size).shape == (size, size, 3)
    assert fit(Image.new("RGB", (28, 28)), 100).shape == (100, 100, 3)
