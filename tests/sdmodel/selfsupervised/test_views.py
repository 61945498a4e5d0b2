import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.selfsupervised.views import DRAWS, view

CONFIG = SelfSupervisedConfig(least_area=0.25, colour=0.4)
PLAIN = SelfSupervisedConfig(least_area=1.0, colour=0.0)
MIDDLE = torch.full((1, DRAWS), 0.5)
MIRROR = 4
"""The draw that mirrors, below 0.5."""


def ramp(height: int = 8, width: int = 8) -> torch.Tensor:
    """(1, 3, H, W): grey, from -1 at the left edge to 1 at the right."""
    across = (torch.arange(width) + 0.5) / width * 2 - 1
    return across.expand(1, 3, height, width).contiguous()


def test_a_view_of_all_is_the_picture_or_its_mirror():
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(view(images, MIDDLE, PLAIN), images)
    mirrored = MIDDLE.clone()
    mirrored[:, MIRROR] = 0.1
    torch.testing.assert_close(view(images, mirrored, PLAIN), images.flip(-1))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_views_show_enough_and_nothing_from_outside(seed: int):
    u = torch.rand(4, DRAWS, generator=torch.Generator().manual_seed(seed))
    found = view(ramp(32, 32).expand(4, -1, -1, -1), u, SelfSupervisedConfig(least_area=0.25, colour=0.0))
    assert found.abs().max() <= 1
    # How much of the ramp a view spans is its width; 1/4 of the area at an aspect of 3/4 or more.
    span = (found[..., -1] - found[..., 0]).abs().mean((1, 2)) / 2 * 32 / 31
    assert (span > (0.25 * 0.75) ** 0.5 - 0.05).all()
    assert (span <= 1.001).all()


def test_the_edges_are_seen_as_often_as_their_place_allows():
    u = torch.rand(2000, DRAWS, generator=torch.Generator().manual_seed(0))
    middles = view(ramp().expand(2000, -1, -1, -1), u, SelfSupervisedConfig(least_area=0.25, colour=0.0))
    assert middles.mean().abs() < 0.02  # as often left as right
    assert (middles[..., 0] < middles[..., -1]).float().mean() == pytest.approx(0.5, abs=0.05)


def test_colours_change_and_stay_in_range():
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    u = torch.rand(64, DRAWS, generator=torch.Generator().manual_seed(1))
    u[:, MIRROR] = 0.9
    changed = view(images, u, SelfSupervisedConfig(least_area=1.0, colour=0.8))
    assert changed.abs().max() <= 1
    assert (changed - images).abs().mean() > 0.1
    # Without saturation what is grey stays grey.
    grey = view(ramp(), u[:1], SelfSupervisedConfig(least_area=1.0, colour=0.8))
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


def test_brightness_is_a_factor():
    u = MIDDLE.clone()
    u[:, MIRROR + 1] = 0.0
    found = view(torch.zeros(1, 3, 4, 4), u, SelfSupervisedConfig(least_area=1.0, colour=0.4))
    torch.testing.assert_close((found + 1) / 2, torch.full((1, 3, 4, 4), 0.5 * 0.6))


def test_a_view_depends_on_its_row_alone():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    u = torch.rand(4, DRAWS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(view(images, u, CONFIG)[2:3], view(images[2:3], u[2:3], CONFIG))


def test_under_autocast_a_view_is_that_of_full_precision():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    u = torch.rand(4, DRAWS, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = view(images, u, CONFIG)
    assert torch.equal(found, view(images, u, CONFIG))


@pytest.mark.parametrize("bad", [{"least_area": 0.0}, {"least_area": 1.5}, {"colour": 2.0}])
def test_ranges_are_named(bad: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(bad))):
        view(ramp(), MIDDLE, SelfSupervisedConfig(**bad))
