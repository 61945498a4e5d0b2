"""On Gaussian data the best denoiser and the end of the path are known in closed form."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sdmodel.noise.interpolation import schedule
from sdmodel.sample.solvers import Denoiser, multistep

Solver = Callable[[Denoiser, Tensor, Tensor], Tensor]
MEAN, DEVIATION = 0.3, 0.4


def ideal(x_t: Tensor, t: Tensor) -> Tensor:
    """E[x_0 | x_t] for x_0 of normal distribution."""
    t = t[:, None, None, None]
    gain = t * DEVIATION**2 / ((t * DEVIATION) ** 2 + (1 - t) ** 2)
    return MEAN + gain * (x_t - t * MEAN)


def euler(denoise: Denoiser, noise: Tensor, times: Tensor) -> Tensor:
    """First order, to compare with: straight along the line through the estimate (DDIM)."""
    x = noise
    for t, s in pairwise(times.tolist()):
        x = x + (s - t) / (1 - t) * (denoise(x, torch.full((len(x),), t, dtype=x.dtype)) - x)
    return x


def error(solver: Solver, steps: int) -> float:
    noise = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = MEAN + DEVIATION * noise  # the path keeps the quantile of every pixel
    return float((solver(ideal, noise, schedule(steps, 2.0)) - end).abs().max())


def test_the_error_falls_with_the_order():
    # The first and the last step are of first order, which costs it a part of its second.
    ratio = error(multistep, 64) / error(multistep, 128)
    assert 2**1.4 * 0.75 < ratio < 2**1.4 * 1.7
    assert error(multistep, 128) < 0.02


def test_second_order_is_worth_it():
    assert error(multistep, 16) < error(euler, 16) / 2


def test_a_denoiser_that_knows_the_image_is_believed():
    image, noise = torch.rand(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    knows: Denoiser = lambda x_t, t: image  # noqa: E731 - a denoiser is any callable
    torch.testing.assert_close(multistep(knows, noise, schedule(5, 4.0)), image)


def test_progress_is_told_for_each_step():
    told: list[tuple[int, int]] = []
    multistep(
        lambda x, t: x,
        torch.randn(1, 3, 2, 2),
        schedule(3, 1.0),
        lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_times_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise from 0"):
        multistep(lambda x, t: x, torch.randn(1, 3, 2, 2), torch.tensor([1.0, 0.5, 0.0]))
