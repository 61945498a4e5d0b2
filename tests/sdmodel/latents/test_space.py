"""Space: the law of normalisation, and what it refuses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.latents.space import PIXELS, Space

FINITE = st.floats(-50, 50)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    channels = draw(st.integers(1, 5))
    mean = draw(st.lists(FINITE, min_size=channels, max_size=channels))
    deviation = draw(st.lists(st.floats(0.05, 20), min_size=channels, max_size=channels))
    return Space(channels, draw(st.sampled_from([1, 2, 8])), tuple(mean), tuple(deviation))


@given(spaces(), st.integers(0, 99))
def test_restored_undoes_normalised(space: Space, seed: int):
    random = torch.Generator().manual_seed(seed)
    mean = 5 * torch.randn(2, space.channels, 3, 4, generator=random)
    log_variance = torch.randn(2, space.channels, 3, 4, generator=random)
    noise = torch.randn(2, space.channels, 3, 4, generator=random)
    x = space.normalised(torch.cat([mean, log_variance], dim=1), noise)
    back = space.restored(x)
    assert torch.allclose(back, mean + log_variance.exp().sqrt() * noise, atol=1e-4, rtol=1e-4)


@given(spaces())
def test_json_gives_an_equal_space(space: Space):
    assert Space.from_json(space.to_json()) == space


def test_latents_with_these_statistics_become_standard_normal():
    space = Space(2, 8, (3.0, -1.0), (2.0, 0.5))
    random = torch.Generator().manual_seed(0)
    # Variance within a posterior and variance of their means add up to the deviation.
    means = torch.randn(400, 2, 8, 8, generator=random) * torch.tensor([1.2, 0.3])[:, None, None]
    log_variance = torch.tensor([1.6**2, 0.4**2]).log()[:, None, None].expand_as(means)
    moments = torch.cat([means + torch.tensor([3.0, -1.0])[:, None, None], log_variance], dim=1)
    x = space.normalised(moments, torch.randn(400, 2, 8, 8, generator=random))
    assert x.mean((0, 2, 3)).abs().max() < 0.03
    assert (x.std((0, 2, 3)) - 1).abs().max() < 0.03


def test_pixels_pass_through():
    pixels = torch.rand(2, 3, 4, 6)
    assert PIXELS.normalised(pixels, torch.randn(2, 3, 4, 6)) is pixels
    assert PIXELS.restored(pixels) is pixels
    assert PIXELS.shape(4, 6) == (3, 4, 6)
    assert not PIXELS.latent


def test_a_wild_log_variance_stays_finite():
    moments = torch.tensor([0.0, 500.0])[None, :, None, None]
    assert Space(1, 8, (0.0,), (1.0,)).normalised(moments, torch.ones(1, 1, 1, 1)).isfinite().all()


def test_what_is_refused_is_named():
    latent = Space(4, 8, (0.0,) * 4, (1.0,) * 4)
    with pytest.raises(
        ValueError, match="have 3 channels; a latent space of 4 channels, 8 pixels to a place asks for 8"
    ):
        latent.normalised(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 8, 8))
    with pytest.raises(ValueError, match="have 8 channels; pixel space asks for 3"):
        PIXELS.normalised(torch.zeros(1, 8, 8, 8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="multiples of 8"):
        latent.shape(64, 60)
    with pytest.raises(ValueError, match="deviation above 0"):
        Space(2, 8, (0.0, 0.0), (1.0, 0.0))
    with pytest.raises(ValueError, match="describes no space"):
        Space.from_json('{"channels": 3}')
