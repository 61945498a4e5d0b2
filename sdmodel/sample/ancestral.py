"""Ancestral sampling: each step draws from the posterior, with noise of its own (Ho et al. 2020,
arXiv:2006.11239)."""

from collections.abc import Callable

import torch
from torch import Tensor

from sdmodel.sample.solvers import Denoiser, Progress, call, pairs, quiet


class SeededNoise:
    """Standard normal arrays, each picture's from its own seed: it depends neither on the other pictures nor
    on the device."""

    def __init__(self, seeds: list[int], shape: tuple[int, ...], device: torch.device) -> None:
        """shape: (C, H, W) of a picture's array."""
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.shape, self.device = shape, device

    def __call__(self) -> Tensor:
        """(B, C, H, W) float32, new ones each time; drawn on the CPU, so that all devices draw alike."""
        rows = [torch.randn(self.shape, generator=generator) for generator in self.generators]
        return torch.stack(rows).to(self.device).contiguous(memory_format=torch.channels_last)


def ancestral(
    denoise: Denoiser,
    noise: Tensor,
    times: Tensor,
    fresh: Callable[[], Tensor],
    progress: Progress = quiet,
) -> Tensor:
    """First order, one call and new noise a step: x_s from q(x_s | x_t, x_0) with the estimate for x_0.

    Arguments as of `sdmodel.sample.solvers`; fresh: draws (B, C, H, W) standard normal noise. At the last
    step, to t = 1, there is none.
    """
    x = noise
    for step, (t, s) in enumerate(pairs(times), start=1):
        of_noisy, of_clean, deviation = posterior(t, s)
        x = of_noisy * x + of_clean * call(denoise, x, t)
        if deviation > 0:
            x = x + deviation * fresh()
        progress(step, len(times) - 1)
    return x


def posterior(t: float, s: float) -> tuple[float, float, float]:
    """Factors of x_t and x_0 in the mean of q(x_s | x_t, x_0), and its standard deviation, at times t < s.

    Ho et al. 2020, equations 6 and 7, for any alpha and sigma (Kingma et al. 2021, arXiv:2107.00630,
    appendix A.2), here alpha = time and sigma = 1 - time: x_t is x_s times t / s and noise."""
    factor = t / s
    added = (1 - t) ** 2 - (factor * (1 - s)) ** 2  # variance of the noise between s and t
    decay = (1 - s) ** 2 / (1 - t) ** 2
    return factor * decay, s * added / (1 - t) ** 2, (added * decay) ** 0.5
