from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sdmodel.train.grids import CELL, GAP, LABEL, STACKED, Grid


def grid(folder: Path, shape: tuple[int, int] = (8, 16)) -> tuple[Grid, list[list[int]]]:
    """Its pictures are of one grey each, by caption; and the seeds that it asks for."""
    asked: list[list[int]] = []

    def sample(captions: list[str], seeds: list[int], size: int) -> Tensor:
        asked.append(seeds)
        return torch.stack([torch.full((3, *shape), float(caption)) for caption in captions])

    return Grid(sample, ["-1", "0", "0.5"], folder / "samples"), asked


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_a_row_shows_each_caption_s_picture_from_the_same_noise(tmp_path: Path):
    made, asked = grid(tmp_path)
    row = pixels(made.draw(64))
    made.draw(128)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "000000064.png",
        "000000128.png",
        "progress.png",
    ]
    assert asked[0] == asked[1]
    assert len(set(asked[0])) == 3
    middles = [row[GAP + CELL // 4, GAP + CELL // 2 + place * (CELL + GAP)] for place in range(3)]
    assert [middle.tolist() for middle in middles] == [[0] * 3, [128] * 3, [191] * 3]


@pytest.mark.parametrize("shape", [(8, 16), (64, 200), (256, 256)])
def test_rows_are_stacked_as_time_goes_on(tmp_path: Path, shape: tuple[int, int]):
    made, _ = grid(tmp_path, shape)
    made.draw(10)
    single = pixels(tmp_path / "samples" / "progress.png")
    made.draw(20)
    double = pixels(tmp_path / "samples" / "progress.png")
    step = double.shape[0] - single.shape[0]
    assert step <= CELL + GAP
    assert (double[:step, LABEL:] == double[step : 2 * step, LABEL:]).all()
    assert (double[:step, :LABEL] != double[step : 2 * step, :LABEL]).any()  # images seen
    assert double.shape[1] == single.shape[1]


def test_a_killed_training_draws_the_same_files(tmp_path: Path):
    whole, _ = grid(tmp_path / "whole")
    killed, _ = grid(tmp_path / "killed")
    for images in (10, 20, 30):
        whole.draw(images)
    for images in (10, 20, 30, 20, 30):
        killed.draw(images)
        if images == 20:
            upto = (tmp_path / "killed" / "samples" / "progress.png").read_bytes()
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "samples").iterdir()}
        for name in ("whole", "killed")
    ]
    assert files[0] == files[1]
    assert upto != files[0]["progress.png"]


def test_a_long_training_is_shown_in_few_rows(tmp_path: Path):
    made, _ = grid(tmp_path)
    for images in range(STACKED):
        made.draw(images)
    size = Image.open(tmp_path / "samples" / "progress.png").size
    made.draw(STACKED)
    made.draw(STACKED + 1)
    assert Image.open(tmp_path / "samples" / "progress.png").size == size


def test_pictures_of_all_sizes_are_shown_at_one(tmp_path: Path):
    def sample(captions: list[str], seeds: list[int], size: int) -> Tensor:
        return torch.linspace(-1, 1, 3 * size**2).view(1, 3, size, size)

    grid = Grid(sample, ["a"], tmp_path, side=8)
    small, large = (Image.open(grid.draw(images, size)) for images, size in ((16, 4), (32, 8)))
    assert small.size == large.size
    pixel = CELL // 4
    assert len(np.unique(np.asarray(small)[GAP : GAP + pixel, GAP : GAP + pixel].reshape(-1, 3), axis=0)) == 1


def test_no_captions_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"captions=\(\)"):
        Grid(lambda captions, seeds, size: torch.zeros(0), [], tmp_path)
