import math

import numpy as np
import pytest
import torch

from sdmodel.data.geometry import LABELS, UNIFORMS, augmentation_labels, warp

IMAGES = torch.rand(1, 3, 8, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def moved(images: torch.Tensor = IMAGES, **places: float) -> torch.Tensor:
    """One picture, by the numbers that are not 0: moved(n3=-1.0) sets the fourth."""
    row = torch.zeros(1, LABELS)
    for name, value in places.items():
        row[0, int(name[1:])] = value
    return warp(images, row)


def test_mirrors_are_mirrors():
    assert torch.allclose(moved(n0=1.0), IMAGES.flip(3), atol=1e-5)
    assert torch.allclose(moved(n1=1.0), IMAGES.flip(2), atol=1e-5)


def test_translation_is_in_parts_of_a_side():
    assert torch.allclose(moved(n7=1.0)[..., 2:], IMAGES[..., :-2], atol=1e-5)  # an eighth of 16
    assert torch.allclose(moved(n8=-1.0)[..., :-1, :], IMAGES[..., 1:, :], atol=1e-5)  # an eighth of 8


def test_a_quarter_turn_is_in_pixels_whatever_the_shape():
    square = IMAGES[..., :8]
    assert torch.allclose(moved(square, n3=-1.0, n4=1.0), square.rot90(-1, (2, 3)), atol=1e-5)
    middle = moved(n3=-1.0, n4=1.0)[..., 4:12]  # of a wide picture
    assert torch.allclose(middle, IMAGES[..., 4:12].rot90(-1, (2, 3)), atol=1e-5)


def test_scaling_enlarges_and_stretching_keeps_the_area():
    ramp = torch.linspace(-0.5, 0.5, 33)[None, None, None].expand(1, 3, 33, 33).contiguous()
    inner = slice(12, 21)

    def steepness(picture: torch.Tensor, axis: int) -> float:
        return float(picture[0, 0, inner, inner].diff(dim=axis).mean() * 32)

    assert steepness(moved(ramp, n2=5.0), 1) == pytest.approx(0.5, abs=0.01)  # 2 ** (0.2 * 5) times as large
    assert steepness(moved(ramp, n5=5.0), 1) == pytest.approx(0.5, abs=0.01)  # wider
    upright = ramp.transpose(2, 3).contiguous()
    assert steepness(moved(upright, n5=5.0), 0) == pytest.approx(2.0, abs=0.05)  # and lower
    assert steepness(moved(upright, n6=5.0), 0) == pytest.approx(0.5, abs=0.01)  # along the other axis


def test_rows_at_rest_stay_as_they_are():
    two = torch.cat([IMAGES, IMAGES])
    rows = torch.zeros(2, LABELS)
    assert warp(two, rows) is two
    rows[1, 2] = 1.0
    result = warp(two, rows)
    assert torch.equal(result[0], two[0])
    assert not torch.allclose(result[1], two[1])
    assert result.abs().max() <= 1


def test_labels_are_as_often_and_as_far_as_in_the_paper():
    uniforms = np.random.default_rng(0).random((20_000, UNIFORMS))
    assert not augmentation_labels(uniforms, 0.0).any()
    some, all_ = augmentation_labels(uniforms, 0.25), augmentation_labels(uniforms, 1.0)
    assert some.dtype == np.float32
    on = (some != 0).mean(axis=0)
    assert np.abs(on - np.array([0.125, 0.125, *[0.25] * 7])).max() < 0.01
    assert np.abs(all_[:, :2].mean(axis=0) - 0.5).max() < 0.02
    for column in (2, 7, 8):
        assert abs(all_[:, column].mean()) < 0.03
        assert all_[:, column].std() == pytest.approx(1, abs=0.03)
    assert np.allclose((all_[:, 3] + 1) ** 2 + all_[:, 4] ** 2, 1, atol=1e-5)
    assert np.square(all_[:, 5:7]).sum(axis=1).mean() == pytest.approx(1, abs=0.05)
    assert np.arctan2(all_[:, 4], all_[:, 3] + 1).std() == pytest.approx(math.pi / math.sqrt(3), abs=0.05)
