"""At which times a sampler asks the denoiser: even in the logarithm of the signal-to-noise ratio."""

import math

import torch
from torch import Tensor

from sdmodel.noise.interpolation import shift

NOISIEST, CLEANEST = -3.0, 3.0
"""log (alpha / sigma) of the first and the last time between noise and data."""
FEW = 10
"""Steps up to which CLEANEST is right; with more of them the last time comes closer to data, so that the
error falls without end."""


def sampling_times(steps: int, amount: float = 1.0) -> Tensor:
    """Times of a sampler, (steps + 1,) float64 rising from 0 to 1: near the picture thousands of them lie
    closer together than float32 tells apart.

    The first step leads from 0, noise alone, the last to 1, the picture; the times between are even in
    log (t / (1 - t)), which makes all steps of an exponential integrator alike (Lu et al. 2022,
    arXiv:2211.01095, section 4). They are then shifted towards noise by `amount`, see
    `sdmodel.noise.interpolation.shift`. ValueError: steps is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: a sampler takes at least 1")
    end = CLEANEST + math.log(max(steps, FEW) / FEW)
    between = torch.linspace(NOISIEST, end, steps - 1, dtype=torch.float64)
    inner = shift(torch.sigmoid(between if steps != 2 else torch.zeros_like(between)), amount)
    return torch.cat([inner.new_zeros(1), inner, inner.new_ones(1)])
