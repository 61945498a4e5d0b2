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

    @classmethod
    def named(cls, name: ScheduleName, *, zero_terminal_snr: bool = False) -> "NoiseSchedule":
        """The schedule of a config."""
        if name == "flow":
            return cls()
        return cls(
            {
                **BETAS[name],
                "num_train_timesteps": TIMESTEPS,
                "clip_sample": False,
                "rescale_betas_zero_snr": zero_terminal_snr,
                "timestep_spacing": "trailing" if zero_terminal_snr else "leading",
                "steps_offset": 0 if zero_terminal_snr else 1,
            }
        )

    @property
    def discrete(self) -> bool:
        """Whether it has timesteps."""
        return self.settings is not None

    @functools.cached_property
    def log_odds(self) -> Tensor:
        """(T,) float32, falling: log (alpha / sigma) at each timestep, within 9.3 either way."""
        # Only who has timesteps waits for it: it takes seconds to import.
        from diffusers import DDPMScheduler  # pyright: ignore[reportPrivateImportUsage]

        assert self.settings is not None, "the straight path has no timesteps"
        scheduler: Any = DDPMScheduler.from_config(self.settings)
        alphas_cumprod = scheduler.alphas_cumprod.double().clamp(1e-8, 1 - 1e-8)
        return (torch.logit(alphas_cumprod) / 2).float()

    def times(self, u: Tensor) -> Tensor:
        """Quantiles (B,) in [0, 1) as times (B,): each timestep as often, from noise to data; on the straight
        path u itself."""
        if not self.discrete:
            return u
        table = self._table(u)
        last = len(table) - 1
        return torch.sigmoid(table[last - (u * len(table)).long().clamp(max=last)])

    def clamp(self, t: Tensor) -> Tensor:
        """Times (B,) within those that it has."""
        if not self.discrete:
            return t
        table = self._table(t)
        return t.clamp(torch.sigmoid(table[-1]), torch.sigmoid(table[0]))

    def timestep(self, t: Tensor) -> Tensor:
        """The timestep (B,) float32 in [0, T - 1] of times t (B,), a fraction between two; on the straight
        path T (1 - t)."""
        if not self.discrete:
            return TIMESTEPS * (1 - t)
        rising = self._table(t).flip(0)
        odds = torch.logit(t.float()).clamp(rising[0], rising[-1])
        right = torch.searchsorted(rising, odds.contiguous()).clamp(1, len(rising) - 1)
        left = rising[right - 1]
        return len(rising) - right - (odds - left) / (rising[right] - left)

    def _table(self, like: Tensor) -> Tensor:
        return self.log_odds.to(like.device)
