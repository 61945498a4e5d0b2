"""At which times a model is trained."""

import math

import torch
from torch import Tensor


def logit_normal(u: Tensor, mean: float, deviation: float) -> Tensor:
    """Quantiles u (B,) in [0, 1) as times in (0, 1) whose logit is normal: float32, finite at both ends.

    Esser et al. 2024, arXiv:2403.03206, equation 19. A mean below 0 leans towards noise (t = 0). Stratified
    quantiles (`Batch.stratified`) make a batch cover all noise levels evenly, which lowers the variance of
    the loss (Kingma et al. 2021, arXiv:2107.00630, appendix I.1).
    """
    return torch.sigmoid(mean + deviation * torch.special.ndtri(u.clamp(1e-5, 1 - 1e-5)))


def mode(u: Tensor, scale: float) -> Tensor:
    """Quantiles u (B,) in [0, 1) as times that favour the middle for a scale above 0 and the ends below it
    (Esser et al. 2024, arXiv:2403.03206, equation 20); 0 is uniform. scale is in [-1, 2 / (pi - 2)]."""
    return u + scale * (torch.cos(math.pi / 2 * u).square() - 1 + u)


def edm(u: Tensor, mean: float, deviation: float) -> Tensor:
    """Quantiles u (B,) in [0, 1) as times at which the logarithm of noise over signal is normal: ln sigma of
    Karras et al. 2022, arXiv:2206.00364, table 1, where mean is -1.2 and deviation 1.2."""
    return logit_normal(u, -mean, deviation)
