"""Dispersive loss: hidden features of a batch are spread, as in contrastive learning but without positives,
teacher or parameters (Wang and He 2025, arXiv:2506.09027)."""

import math

import torch
from torch import Tensor, nn

from sdmodel.contrastive.gather import gather


class Dispersive(nn.Module):
    """The dispersive loss over the global batch: one process or many have the same."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) of this process's rows to a float32 scalar."""
        return dispersive_loss(gather(features.float().flatten(1)), self.temperature)


def dispersive_loss(z: Tensor, temperature: float) -> Tensor:
    """log mean exp(-||z_i - z_j||^2 / D / temperature) over all pairs (i, j) of N vectors, i = j among them
    (equation 6, the InfoNCE variant with squared distances, over the dimension D as its authors compute it):
    0 where all are equal, -log N where all are far from each other. A float32 scalar, under autocast too.

    z: (N, D) float32."""
    with torch.autocast(z.device.type, enabled=False):  # in which `@` would be bf16
        z = z - z.mean(0)  # distances stay, and differences of large squares are avoided
        squares = z.square().sum(1)  # (N,)
        distance = (squares[:, None] + squares[None] - 2 * z @ z.T).clamp(min=0) / z.shape[1]  # (N, N)
        distance = distance.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), 0.0)
        return torch.logsumexp(-distance.flatten() / temperature, 0) - 2 * math.log(len(z))
