"""The dispersive loss."""

import math

import pytest
import torch

from sdmodel.alignment.dispersive import dispersive_loss


def test_two_vectors_have_the_closed_form():
    z = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 2.0]])  # mean squared difference 2
    expected = math.log((2 + 2 * math.exp(-2 / 0.5)) / 4)
    assert dispersive_loss(z, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_it_is_that_of_its_authors():
    """`pdist(z)**2 / D`, both triangles and the diagonal, at temperature 1."""
    z = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)) + 30
    pairs = torch.nn.functional.pdist(z.double()).square() / 40
    expected = torch.cat([pairs, pairs, torch.zeros(6)]).neg().exp().mean().log()
    assert dispersive_loss(z, 1.0).item() == pytest.approx(expected.item(), rel=1e-4)


def test_equal_vectors_have_0_and_distant_ones_the_logarithm_of_their_number():
    z = torch.ones(5, 3)
    assert dispersive_loss(z, 0.5).item() == pytest.approx(0, abs=1e-6)
    assert dispersive_loss(100 * torch.eye(5), 0.5).item() == pytest.approx(-math.log(5), rel=1e-5)


def test_its_gradient_spreads_and_is_finite_where_all_are_equal():
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    dispersive_loss(z, 0.5).backward()
    assert z.grad is not None
    spread = torch.pdist(z - 0.5 * z.grad).square().mean() > torch.pdist(z).square().mean()
    assert spread
    equal = torch.zeros(4, 8, requires_grad=True)
    dispersive_loss(equal, 0.5).backward()
    assert equal.grad is not None
    assert equal.grad.isfinite().all()


def test_under_autocast_it_is_float32():
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)) + 100
    with torch.autocast("cpu", torch.bfloat16):
        half = dispersive_loss(z, 0.5)
    assert half.dtype == torch.float32
    assert torch.equal(half, dispersive_loss(z, 0.5))
