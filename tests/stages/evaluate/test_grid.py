from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdmodel.captioned_sheet import LINES
from stages.evaluate.grid import CELL, GAP, LINE, draw_grid

ROW = CELL + LINES * LINE + GAP


@pytest.mark.parametrize("side", [16, 32, 100, 200])
def test_pictures_stand_above_their_captions(tmp_path: Path, side: int):
    images = np.stack([np.full((side, side, 3), shade, np.uint8) for shade in (0, 40, 80, 120, 160)])
    draw_grid(tmp_path / "grid.png", images, ["a word"] * 4 + ["many words " * 90], columns=3)
    with Image.open(tmp_path / "grid.png") as grid:
        sheet = np.asarray(grid)
    assert sheet.shape == (2 * ROW + GAP, 3 * (CELL + GAP) + GAP, 3)
    for position, shade in enumerate((0, 40, 80, 120, 160)):
        top, left = GAP + position // 3 * ROW, GAP + position % 3 * (CELL + GAP)
        shown = sheet[top : top + CELL, left : left + CELL]
        assert np.all(shown == shade)
        below = sheet[top + CELL : top + CELL + LINES * LINE, left : left + CELL]
        assert below.min() < 128  # something is written
    assert np.all(sheet[GAP : GAP + CELL, :GAP] == 255)
    assert np.all(sheet[-GAP + 3 :] == 255)  # what is too long is cut, not written over the rim


def test_pixels_stay_visible_and_pairs_stand_side_by_side(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    draw_grid(tmp_path / "grid.png", image, ["noise"], beside=255 - image)
    with Image.open(tmp_path / "grid.png") as grid:
        sheet = np.asarray(grid)[GAP : GAP + CELL, GAP : GAP + 2 * CELL]
    factor = CELL // 16
    assert np.array_equal(sheet[::factor, :CELL:factor], image[0])
    assert np.array_equal(sheet[:, CELL:], 255 - sheet[:, :CELL])
