"""The straight path from noise to data that training and sampling share.

`x_t = t x_0 + (1 - t) eps`, with t = 0 pure noise and t = 1 data (Liu et al. 2022, arXiv:2209.03003, equation
1, whose time runs the same way). In the letters of diffusion, `alpha = t` and `sigma = 1 - t`. Times are (B,)
float32 in [0, 1]; images are (B, 3, H, W) float32 in [-1, 1], or (B, C, h, w) normalised latents, with noise
of unit variance.
"""

import torch
from torch import Tensor

SIGMA_DATA = 0.5
"""Standard deviation that pixels in [-1, 1] are taken to have."""


def expand(t: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, ...) with as many axes as `like`."""
    return t.view(-1, *[1] * (like.ndim - 1))


def interpolate(x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """The noisy image at times t (B,): `t x_0 + (1 - t) eps`."""
    t = expand(t, x_0)
    return t * x_0 + (1 - t) * eps


def shift(t: Tensor, amount: float) -> Tensor:
    """Move times towards noise by `amount` >= 1 (1 leaves them): `t / (t + amount (1 - t))`.

    Esser et al. 2024, arXiv:2403.03206, equation 23, with time reversed. The odds t : 1 - t are divided by
    `amount`.
    """
    return t / (t + amount * (1 - t))


def unit_scale(t: Tensor, deviation: float = SIGMA_DATA) -> Tensor:
    """Factors (B,) that bring x_t to unit variance, for clean arrays of that standard deviation.

    c_in of Karras et al. 2022, arXiv:2206.00364, table 1, for alpha = t and sigma = 1 - t.
    """
    return torch.rsqrt((t * deviation) ** 2 + (1 - t) ** 2)
