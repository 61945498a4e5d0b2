"""Samplers of the straight path: from noise (t = 0) to data (t = 1), given a denoiser, noise and times.

A denoiser is any callable of the noisy arrays (B, C, H, W) and their times (B,) that estimates the clean
arrays. Times are those of `sdmodel.sample.times`: (K + 1,), rising from 0 to 1; each of the K steps is
followed by `progress(done, K)`. These are deterministic: the noise alone decides. Estimates at t = 1 are
never asked for: x_1 is the picture.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""


def euler(denoise: Denoiser, noise: Tensor, times: Tensor, progress: Progress = quiet) -> Tensor:
    """First order, one call a step: along the straight line through the estimate.

    The same step as DDIM's without noise (Song et al. 2020, arXiv:2010.02502, equation 12 with sigma = 0):
    both are exact where the estimate does not change, and linear in it.
    """
    x = noise
    for step, (t, s) in enumerate(pairs(times), start=1):
        x = towards(x, call(denoise, x, t), t, s)
        progress(step, len(times) - 1)
    return x


def heun(denoise: Denoiser, noise: Tensor, times: Tensor, progress: Progress = quiet) -> Tensor:
    """Second order with two calls a step: the mean of the velocities at its start and at its end.

    Karras et al. 2022, arXiv:2206.00364, algorithm 1, in the coordinates of the straight path. The step to
    t = 1, where the velocity is a limit, is of first order and takes one call.
    """
    x = noise
    for step, (t, s) in enumerate(pairs(times), start=1):
        velocity = (call(denoise, x, t) - x) / (1 - t)
        end = x + (s - t) * velocity
        if s < 1:
            velocity = (velocity + (call(denoise, end, s) - end) / (1 - s)) / 2
            end = x + (s - t) * velocity
        x = end
        progress(step, len(times) - 1)
    return x


def multistep(denoise: Denoiser, noise: Tensor, times: Tensor, progress: Progress = quiet) -> Tensor:
    """Second order with one call a step: the last estimate serves again.

    DPM-Solver++ 2M (Lu et al. 2022, arXiv:2211.01095, algorithm 2). Steps from t = 0 and to t = 1, where the
    logarithm of the signal-to-noise ratio is infinite, are of first order.
    """
    x, last, past = noise, noise, 0.0
    for step, (t, s) in enumerate(pairs(times), start=1):
        estimate = call(denoise, x, t)
        if past > 0 and s < 1:
            r = (log_snr(t) - log_snr(past)) / (log_snr(s) - log_snr(t))
            x = towards(x, estimate + (estimate - last) / (2 * r), t, s)
        else:
            x = towards(x, estimate, t, s)
        last, past = estimate, t
        progress(step, len(times) - 1)
    return x


def towards(x: Tensor, estimate: Tensor, t: float, s: float) -> Tensor:
    """From time t to s > t, exactly where the estimate of the clean array does not change on the way."""
    share = (1 - s) / (1 - t)  # of the noise and of the array at t that stays
    return share * x + (s - share * t) * estimate


def log_snr(t: float) -> float:
    """lambda = log(alpha / sigma) at time t in (0, 1)."""
    return float(torch.logit(torch.tensor(t, dtype=torch.float64)))


def pairs(times: Tensor) -> list[tuple[float, float]]:
    """Start and end of each step. ValueError: the times do not rise from 0 to 1."""
    ts: list[float] = times.tolist()
    if ts[0] != 0 or ts[-1] != 1 or any(s <= t for t, s in itertools.pairwise(ts)):
        raise ValueError(
            f"times={ts}: a sampler's times rise from 0 (noise) to 1 (data); "
            "sdmodel.sample.times.sampling_times makes them"
        )
    return list(itertools.pairwise(ts))


def call(denoise: Denoiser, x: Tensor, t: float) -> Tensor:
    """The denoiser at one time for the whole batch."""
    return denoise(x, torch.full((len(x),), t, device=x.device))
