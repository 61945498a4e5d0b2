"""Representation alignment."""

import pytest
import torch

from sdmodel.alignment.repa import at_sides, repa_loss, spatially_normalised


def test_equal_features_have_0_whatever_their_lengths_and_opposite_ones_2():
    f = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    assert repa_loss(5 * f, f).item() == pytest.approx(0, abs=1e-6)
    assert repa_loss(-f, f).item() == pytest.approx(2)
    across = torch.stack([-f[:, 1], f[:, 0]], 1)
    assert repa_loss(across, f[:, :2]).item() == pytest.approx(1)


def test_it_is_the_mean_over_places_of_one_vector_s_cosine():
    a, b = torch.randn(2, 2, 5, 2, 2, generator=torch.Generator().manual_seed(0))
    cosines = [
        torch.dot(a[n, :, y, x], b[n, :, y, x]) / a[n, :, y, x].norm() / b[n, :, y, x].norm()
        for n in range(2)
        for y in range(2)
        for x in range(2)
    ]
    assert repa_loss(a, b).item() == pytest.approx(1 - sum(cosines).item() / 8, rel=1e-5)  # type: ignore[union-attr]


def test_features_that_half_precision_would_have_no_length_for_have_a_gradient():
    """In half precision the length of a vector this small is 0, and its direction no number."""
    small = torch.full((1, 4, 1, 1), 1e-5, dtype=torch.float16).requires_grad_()
    loss = repa_loss(small, torch.tensor([1.0, 1, 1, -1]).view(1, 4, 1, 1))
    loss.backward()
    assert loss.item() == pytest.approx(0.5, rel=0.01)
    assert small.grad is not None
    assert small.grad.isfinite().all()


def test_normalised_over_places_what_all_places_share_does_not_count():
    f = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    shared = 7 * torch.randn(2, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        spatially_normalised(f + shared), spatially_normalised(f), atol=1e-4, rtol=1e-3
    )
    normalised = spatially_normalised(f)
    torch.testing.assert_close(normalised.std((2, 3)), torch.ones(2, 3), atol=1e-4, rtol=0)
    single = f[..., :1, :1]
    assert torch.equal(spatially_normalised(single), single)


def test_maps_are_brought_to_other_sides():
    f = torch.randn(1, 2, 8, 8)
    assert torch.equal(at_sides(f, torch.zeros(1, 9, 8, 8)), f)
    small = at_sides(f, torch.zeros(1, 9, 4, 2))
    assert small.shape == (1, 2, 4, 2)
    torch.testing.assert_close(small.mean(), f.mean(), atol=0.1, rtol=0)
