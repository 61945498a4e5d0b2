"""Which feature map of an image encoder an alignment learns from."""

from pathlib import Path

import pytest
import torch

from sdmodel.selfsupervised.encoder import load
from sdmodel.selfsupervised.teacher import FrozenTeacher


@pytest.mark.parametrize("size", [16, 32, 128])
def test_the_teacher_s_map_is_the_deepest_that_knows_places(size: int, image_encoder: Path):
    teacher = FrozenTeacher(load(image_encoder), size)
    features = teacher.maps(torch.rand(2, 3, size, size) * 2 - 1)
    assert features.shape == (2, teacher.width, 4, 4)
    assert not features.requires_grad
    assert (teacher.width == teacher.encoder.width) == (size == 128)  # of the last map
