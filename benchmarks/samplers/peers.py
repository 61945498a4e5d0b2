"""What others would sample with: diffusers' schedulers, on any denoiser of the straight path; and the times
that this project sampled at before."""

from typing import Any

import torch
from torch import Tensor

from sdmodel.noise.interpolation import expand, shift
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.sample.solvers import Denoiser, multistep

EARLIER = 14
"""Steps of the earlier default."""


def earlier(denoise: Denoiser, noise: Tensor, steps: int = EARLIER) -> Tensor:
    """DPM++ 2M at evenly spaced times that are shifted by 4 towards noise: the earlier default."""
    return multistep(denoise, noise, shift(torch.linspace(0, 1, steps + 1), 4.0))


def flow(scheduler: Any, denoise: Denoiser, noise: Tensor, steps: int) -> Tensor:
    """A scheduler of diffusers for models on the straight path, at its own times; Heun's calls the denoiser
    twice in each step but the last."""
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.tolist()
    x = noise
    for number, timestep in enumerate(scheduler.timesteps):
        t = torch.full((len(x),), 1 - sigmas[number], dtype=x.dtype)
        velocity = (x - denoise(x, t)) / expand(1 - t, x)  # theirs leads towards noise
        x = scheduler.step(velocity, timestep, x, return_dict=False)[0].to(noise.dtype)
    return x


def timesteps(
    scheduler: Any, schedule: NoiseSchedule, denoise: Denoiser, noise: Tensor, steps: int
) -> Tensor:
    """A scheduler of diffusers for models with timesteps, which predict the noise."""
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        t = schedule.time(timestep.expand(len(x))).to(x.dtype)
        x_t = scheduler.scale_model_input(x, timestep) * expand(torch.hypot(t, 1 - t), x)
        epsilon = (x_t - expand(t, x) * denoise(x_t, t)) / expand(1 - t, x)
        x = scheduler.step(epsilon, timestep, x, return_dict=False)[0].to(noise.dtype)
    return x
