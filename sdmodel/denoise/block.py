"""The UNet's residual block, a ConvNeXt block with FiLM."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, without learned scale: on a CPU faster than group
    normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in channels last to the same."""
        return F.layer_norm(x.permute(0, 2, 3, 1), (self.channels,)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 3 x 3, norm, FiLM, and a two-layer perceptron on each pixel, added to the input.

    The order is ConvNeXt's (Liu et al. 2022, arXiv:2201.03545); scale and shift come from the condition
    (Perez et al. 2018, arXiv:1709.07871). It begins as the identity.
    """

    adamw_layers = ("film",)

    def __init__(self, channels: int, condition: int, dropout: float = 0.0) -> None:
        """dropout: share of the perceptron's inner channels, at each pixel, that is left out."""
        super().__init__()
        self.space = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = ChannelNorm(channels)
        self.film = nn.Linear(condition, 2 * channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.drop = nn.Dropout(dropout)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, C, H, W) under a condition (B, W) to (B, C, H, W)."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm(self.space(x)), 1 + scale)
        return x + self.narrow(self.drop(F.silu(self.widen(h))))
