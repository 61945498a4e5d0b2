"""At which times a model is trained."""

import torch
from torch import Tensor


def logit_normal(u: Tensor, mean: float, deviation: float) -> Tensor:
    """Quantiles u (B,) in [0, 1) as times in (0, 1) whose logit is normal: float32, finite at both ends.

    Esser et al. 2024, arXiv:2403.03206, equation 19. A mean below 0 leans towards noise (t = 0). Stratified
    quantiles (`Batch.stratified`) make a batch cover all noise levels evenly, which lowers the variance of
    the loss (Kingma et al. 2021, arXiv:2107.00630, appendix I.1).
    """
    return torch.sigmoid(mean + deviation * torch.special.ndtri(u.clamp(1e-5, 1 - 1e-5)))
