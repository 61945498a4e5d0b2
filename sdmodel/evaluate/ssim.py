"""Structural similarity of pictures (SSIM; Wang et al. 2004, "Image quality assessment: from error visibility
to structural similarity", IEEE Transactions on Image Processing 13(4))."""

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, SIGMA = 11, 1.5
"""Pixels to a side of the Gaussian window, and its standard deviation (section III-C)."""
K1, K2 = 0.01, 0.03
"""Of the constants that keep ratios stable."""
RANGE = 2.0
"""Of pixels in [-1, 1]."""


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """(B,) float64 in [-1, 1], 1 of equal pictures: equation 13 at each place where a whole window fits, with
    moments weighed by the window (equations 14 to 16), the mean over places and channels.

    Args:
        images: (B, C, H, W) in [-1, 1]. Smaller pictures than the window have a window as large as they are.
        others: the same.
    """
    x, y = images.double(), others.double()
    side = min(WINDOW, *x.shape[2:])
    at = torch.arange(side, dtype=torch.float64, device=x.device) - (side - 1) / 2
    weights = torch.exp(-at.square() / (2 * SIGMA**2))
    weights = weights / weights.sum()

    def mean(z: Tensor) -> Tensor:
        channels = z.shape[1]
        rows = F.conv2d(z, weights.view(1, 1, -1, 1).expand(channels, 1, side, 1), groups=channels)
        return F.conv2d(rows, weights.view(1, 1, 1, -1).expand(channels, 1, 1, side), groups=channels)

    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mu_x.square(), mean(y * y) - mu_y.square()
    covariance = mean(x * y) - mu_x * mu_y
    above = (2 * mu_x * mu_y + c1) * (2 * covariance + c2)
    below = (mu_x.square() + mu_y.square() + c1) * (var_x + var_y + c2)
    return (above / below).mean((1, 2, 3))
