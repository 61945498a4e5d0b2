"""Noise schedules: which noise levels a model knows, and the timestep of each.

Ours is the straight path, of all levels, see `interpolation`. Those of DDPM are tables of T timesteps, made
by diffusers' own scheduler: alpha_k^2 + sigma_k^2 = 1 at timestep k. Timestep k is our time t where
alpha_k : sigma_k = t : 1 - t; the arrays differ by a factor alone.
"""

import functools
from typing import Any

import torch
from torch import Tensor

from sdmodel.config.noise import ScheduleName

TIMESTEPS = 1000
BETAS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
"""Arguments of diffusers' DDPMScheduler: of Ho et al. 2020 (arXiv:2006.11239), Stable Diffusion, and Nichol
and Dhariwal 2021 (arXiv:2102.09672)."""


class NoiseSchedule:
    """The noise levels that a model is taught."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        """settings: config of a DDPMScheduler, as scheduler_config.json has it; None: the straight path."""
        self.settings = settings
        self._tables: dict[torch.device, Tensor] = {}

    @classmethod
    def named(
        cls, name: ScheduleName, *, zero_terminal_snr: bool = False, clip_sample: bool = False
    ) -> "NoiseSchedule":
        """The schedule of a config.

        zero_terminal_snr: its last timestep is noise alone.
        clip_sample: samplers bring estimates of the clean array to [-1, 1], as DDPM does with pixels."""
        if name == "flow":
            return cls()
        return cls(
            {
                **BETAS[name],
                "num_train_timesteps": TIMESTEPS,
                "clip_sample": clip_sample,
                "rescale_betas_zero_snr": zero_terminal_snr,
                # Samplers begin with the last timestep (Lin et al. 2023, arXiv:2305.08891, section 3.3).
                "timestep_spacing": "trailing",
            }
        )

    @property
    def discrete(self) -> bool:
        """Whether it has timesteps."""
        return self.settings is not None

    @functools.cached_property
    def table(self) -> Tensor:
        """(T,) float32, rising from noise to data: the time of each timestep, the last one first. 0 is of a
        zero terminal signal-to-noise ratio alone."""
        # Only who has timesteps waits for it: it takes seconds to import.
        from diffusers import DDPMScheduler  # pyright: ignore[reportPrivateImportUsage]

        assert self.settings is not None, "the straight path has no timesteps"
        scheduler: Any = DDPMScheduler.from_config(self.settings)
        alphas_cumprod = scheduler.alphas_cumprod.double()
        alpha, sigma = alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()
        return (alpha / (alpha + sigma)).float().flip(0)

    def times(self, u: Tensor) -> Tensor:
        """Quantiles (B,) in [0, 1) as times (B,): each timestep as often, from noise to data; on the straight
        path u itself."""
        if not self.discrete:
            return u
        table = self._table(u)
        return table[(u * len(table)).long().clamp(max=len(table) - 1)]

    def clamp(self, t: Tensor) -> Tensor:
        """Times (B,) within those that it has."""
        if not self.discrete:
            return t
        table = self._table(t)
        return t.clamp(table[0], table[-1])

    def timestep(self, t: Tensor) -> Tensor:
        """The timestep (B,) float32 in [0, T - 1] of times t (B,): whole ones of `times`, a fraction between
        two; on the straight path T (1 - t)."""
        if not self.discrete:
            return TIMESTEPS * (1 - t)
        table = self._table(t)
        t = self.clamp(t.float()).contiguous()
        right = torch.searchsorted(table, t).clamp(1, len(table) - 1)
        left = table[right - 1]
        return len(table) - right - (t - left) / (table[right] - left)

    def time(self, timestep: Tensor) -> Tensor:
        """The time (B,) float32 of timesteps (B,) in [0, T - 1]: `timestep` back again."""
        if not self.discrete:
            return 1 - timestep / TIMESTEPS
        table = self._table(timestep)
        place = len(table) - 1 - timestep.float().clamp(0, len(table) - 1)
        left = place.floor().long().clamp(max=len(table) - 2)
        return torch.lerp(table[left], table[left + 1], place - left)

    def _table(self, like: Tensor) -> Tensor:
        """`table` on the device of a tensor, copied there once."""
        if like.device not in self._tables:
            self._tables[like.device] = self.table.to(like.device)
        return self._tables[like.device]
