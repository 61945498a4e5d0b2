import pytest
import torch
from diffusers.training_utils import compute_density_for_timestep_sampling

from sdmodel.noise.times import edm, logit_normal, mode


def test_the_logit_is_normal():
    u = (torch.arange(10_001) + 0.5) / 10_001
    logit = torch.logit(logit_normal(u, -0.6, 1.6).double())
    assert abs(logit.median() + 0.6) < 1e-3
    assert abs(logit.std() - 1.6) < 5e-3


def test_both_ends_are_finite():
    t = logit_normal(torch.tensor([0.0, 1.0]), -0.6, 1.6)
    assert (t > 0).all()
    assert (t < 1).all()


def test_mode_is_that_of_diffusers():
    """Whose quantiles run from noise to data as ours, and whose formula is its own mirror image."""
    torch.manual_seed(0)
    theirs = compute_density_for_timestep_sampling("mode", 1000, mode_scale=1.29)
    torch.manual_seed(0)
    u = torch.rand(1000)
    torch.testing.assert_close(mode(1 - u, 1.29), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(1 - mode(u, 1.29), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [-1.0, 0.0, 1.29, 1.75])
def test_mode_keeps_to_all_times_in_order(scale: float):
    u = torch.linspace(0, 1, 1001)
    t = mode(u, scale)
    assert (t[0].item(), t[-1].item()) == pytest.approx((0, 1), abs=1e-6)
    assert (t.diff() > -1e-6).all()
    middle = ((t > 0.4) & (t < 0.6)).float().mean()
    assert (middle > 0.21) == (scale > 0)
    assert (middle < 0.19) == (scale < 0)


def test_logit_normal_is_that_of_diffusers():
    torch.manual_seed(0)
    theirs = compute_density_for_timestep_sampling("logit_normal", 200_000, logit_mean=-0.6, logit_std=1.6)
    share = torch.linspace(0.01, 0.99, 99)
    torch.testing.assert_close(logit_normal(share, -0.6, 1.6), theirs.quantile(share), rtol=0, atol=0.005)


def test_the_noise_of_edm_is_log_normal():
    """ln sigma of Karras et al. 2022, table 1, whose arrays are x_0 + sigma eps."""
    t = edm((torch.arange(10_001) + 0.5) / 10_001, -1.2, 1.2).double()
    ln_sigma = ((1 - t) / t).log()
    assert ln_sigma.mean().item() == pytest.approx(-1.2, abs=1e-3)
    assert ln_sigma.std().item() == pytest.approx(1.2, abs=5e-3)
    assert (t.diff() > 0).all()
