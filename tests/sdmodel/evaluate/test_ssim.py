"""Structural similarity against closed forms, and against the equation written out over one window."""

import pytest
import torch

from sdmodel.evaluate.ssim import K1, K2, RANGE, SIGMA, WINDOW, ssim

C1, C2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2


def test_flat_pictures_differ_by_brightness_alone():
    a, b = 0.5, -0.1
    measured = ssim(torch.full((1, 3, 16, 16), a), torch.full((1, 3, 16, 16), b))
    assert measured.item() == pytest.approx((2 * a * b + C1) / (a * a + b * b + C1), rel=1e-6)


def test_noise_around_the_same_mean_differs_by_contrast_and_structure():
    """x and -x of mean 0 under the window: covariance is -variance."""
    x = torch.randn(1, 1, WINDOW, WINDOW, generator=torch.Generator().manual_seed(0)).double() / 4
    at = torch.arange(WINDOW).double() - WINDOW // 2
    one = torch.exp(-at.square() / (2 * SIGMA**2))
    window = one[:, None] * one / one.sum() ** 2
    x = x - (window * x).sum()
    variance = (window * x.square()).sum()
    expected = (C2 - 2 * variance) / (C2 + 2 * variance)
    torch.testing.assert_close(ssim(x, -x)[0], expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ssim(x, x)[0], torch.tensor(1.0).double())


def test_it_falls_with_noise_and_is_symmetric():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 24, 24, generator=generator) * 2 - 1
    noise = torch.randn(2, 3, 24, 24, generator=generator)
    near, far = x + 0.1 * noise, x + 0.5 * noise
    assert (ssim(x, x) > ssim(x, near)).all()
    assert (ssim(x, near) > ssim(x, far)).all()
    torch.testing.assert_close(ssim(x, far), ssim(far, x))


def test_pictures_smaller_than_the_window_are_one_window():
    x = torch.rand(1, 3, 8, 8)
    assert ssim(x, x).item() == pytest.approx(1)
