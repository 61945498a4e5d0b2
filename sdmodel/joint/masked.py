"""The masked task of joint training: patches of the noisy picture are hidden, and its features tell the clean
ones (masked autoencoding; He et al. 2021, arXiv:2111.06377, on noisy pictures)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MaskedTask(nn.Module):
    """What is hidden, the layer that tells it of the features, and the error."""

    adamw_layers = ("head",)

    def __init__(self, width: int, channels: int, stride: int, hidden: float) -> None:
        """Args:
        width: C of the features.
        channels: of the arrays.
        stride: places of an array to a side of what a place of the features stands for: the patches.
        hidden: share of the patches that are.
        """
        super().__init__()
        self.stride, self.hidden = stride, hidden
        self.head = nn.Conv2d(width, channels * stride**2, 1)

    def mask(self, u: Tensor) -> Tensor:
        """What is hidden, (B, 1, h, w) bool, of u (B, h, w) uniform on [0, 1): of each picture the same
        number of patches, at least one and, where there are several, not all."""
        places = u[0].numel()
        count = max(1, min(places - 1, round(self.hidden * places)))
        order = u.flatten(1).argsort(dim=1, stable=True).argsort(dim=1)  # the rank of each
        return (order < count).view_as(u)[:, None]

    def hide(self, x_t: Tensor, mask: Tensor) -> Tensor:
        """Arrays (B, C, H, W) with zeros, the mean of all data, where `mask` (B, 1, h, w) is true."""
        return x_t.masked_fill(F.interpolate(mask.float(), scale_factor=self.stride).bool(), 0.0)

    def forward(self, features: Tensor, x_0: Tensor, mask: Tensor) -> Tensor:
        """(B,) float32: of each row the mean squared error over hidden patches of the clean arrays x_0
        (B, C, H, W), by features (B, C', h, w) of what is not hidden."""
        target = F.pixel_unshuffle(x_0, self.stride)  # (B, C * stride**2, h, w)
        error = (self.head(features).float() - target).square().mean(1, keepdim=True)  # (B, 1, h, w)
        return torch.where(mask, error, 0.0).sum((1, 2, 3)) / mask.sum((1, 2, 3))
