"""Data whose best denoiser is known: single pixels from a mixture of normal distributions.

E[x_0 | x_t] is the mean of the modes' own posterior means, weighed by how likely each mode is behind x_t, for
x_t = t x_0 + (1 - t) eps. What a sampler's end point misses is then the sampler's own error.
"""

import torch
from torch import Tensor

from sdmodel.sample.solvers import multistep

MODES, DEVIATION = (-0.8, 0.1, 0.7), 0.1
"""Equally likely means, and the deviation around each."""
SPREAD = (sum(mode**2 for mode in MODES) / 3 - (sum(MODES) / 3) ** 2 + DEVIATION**2) ** 0.5
"""Standard deviation of the data."""


def denoise(x_t: Tensor, t: Tensor) -> Tensor:
    """The best estimate of clean pixels behind x_t (B, ...) at times t (B,) of the straight path."""
    t = t.to(x_t.dtype).view(-1, *[1] * x_t.ndim)  # (B, 1, ..., 1), one axis more for the modes
    modes = torch.tensor(MODES, dtype=x_t.dtype)
    off = x_t[..., None] - t * modes  # (B, ..., M)
    variance = (t * DEVIATION) ** 2 + (1 - t) ** 2
    likely = torch.softmax(-off.square() / (2 * variance), -1)
    return (likely * (modes + t * DEVIATION**2 / variance * off)).sum(-1)


def noise(pixels: int) -> Tensor:
    """(N, 1, 1, 1) float64: the quantiles of a normal distribution, in the middle of N equal parts."""
    quantiles = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
    return torch.special.ndtri(quantiles).view(-1, 1, 1, 1)


def exact(start: Tensor) -> Tensor:
    """Where the path from that noise ends, by 2,000 steps from a signal of 1/3000 to noise of 1/8000."""
    between = torch.sigmoid(torch.linspace(-8, 9, 1999, dtype=torch.float64))
    ends = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    return multistep(denoise, start, torch.cat([ends[0], between, ends[1]]))


def error(end: Tensor, truth: Tensor) -> float:
    """Mean distance of end points to the true ones, in deviations of the data."""
    return float((end - truth).abs().mean()) / SPREAD
