"""Time embedding: the time as features of a network."""

import math

import torch
from torch import Tensor

FEATURES = 32


def time_features(t: Tensor) -> Tensor:
    """Times (B,) in [0, 1] to (B, FEATURES): sines and cosines of half the log-odds at geometrically spaced
    frequencies.

    The log-odds of t are half the logarithm of the signal-to-noise ratio, in which noise levels look evenly
    spaced (Kingma et al. 2021, arXiv:2107.00630); they are cut at 1e-4 of either end.
    """
    position = torch.logit(t.float(), eps=1e-4) / 2
    frequency = torch.exp(torch.linspace(math.log(0.2), math.log(7.5), FEATURES // 2, device=t.device))
    angle = position[:, None] * frequency  # (B, FEATURES / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)
