"""The uncertainty of a denoiser at each noise level, learned beside it to weigh its errors.

Karras et al. 2023, arXiv:2312.02696, equation 15: a task of regression for each noise level, of which each
shall count by how well it can be learned (Kendall et al. 2017, arXiv:1705.07115).
"""

import torch
from torch import Tensor, nn

from sdmodel.denoise.time import FEATURES, time_features
from sdmodel.noise.interpolation import expand


class Uncertainty(nn.Module):
    """u(t), the logarithm of the error that is expected at time t: an affine function of Fourier features of
    the noise level, 0 at first.

    Its weights are vectors, not matrices, so that AdamW learns them whatever learns the denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(FEATURES))
        self.bias = nn.Parameter(torch.zeros(1))

    def log_error(self, t: Tensor) -> Tensor:
        """u (B,) at times t (B,)."""
        return (time_features(t) * self.weight).sum(1) + self.bias  # no matrix product: float32

    def forward(self, error: Tensor, t: Tensor) -> Tensor:
        """Errors (B, ...), as (B, C, H, W), at times t (B,), weighed: error / exp(u) + u, least where exp(u)
        is the mean of the errors at t. A factor on all errors of a time adds a constant alone."""
        u = expand(self.log_error(t), error)
        return error / u.exp() + u
