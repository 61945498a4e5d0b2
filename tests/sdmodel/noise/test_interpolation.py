import pytest
import torch

from sdmodel.noise.interpolation import SIGMA_DATA, interpolate, shift, unit_scale


def test_time_0_is_noise_and_time_1_is_data():
    x_0, eps = torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    x_t = interpolate(x_0, eps, torch.tensor([0.0, 1.0]))
    assert torch.equal(x_t[0], eps[0])
    assert torch.equal(x_t[1], x_0[1])


def test_unit_scale_gives_unit_variance():
    generator = torch.Generator().manual_seed(0)
    data, eps = SIGMA_DATA * torch.randn(2, 5, 100_000, generator=generator)
    t = torch.linspace(0, 1, 5)
    x_t = interpolate(data, eps / SIGMA_DATA, t) * unit_scale(t)[:, None]
    assert x_t.std(dim=1) == pytest.approx(torch.ones(5), abs=0.01)


def test_shift_divides_the_odds():
    t = torch.tensor([0.2, 0.5, 0.8])
    assert torch.logit(shift(t, 4)).numpy() == pytest.approx(
        (torch.logit(t) - torch.tensor(4.0).log()).numpy(), abs=1e-6
    )
    assert torch.equal(shift(t, 1), t)
