"""The contrastive task of joint training: two noised views of a picture together, those of different pictures
apart (NT-Xent; Chen et al. 2020, arXiv:2002.05709), by features of the noisy pictures."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.contrastive.gather import gather
from sdmodel.selfsupervised.nt_xent import nt_xent


class ContrastiveTask(nn.Module):
    """The projector that pooled features are compared behind, and the loss over the global batch."""

    adamw_layers = ("projector.2",)

    def __init__(self, width: int, embedding: int, temperature: float) -> None:
        """width: C of the features. embedding: D of the space in which they are compared."""
        super().__init__()
        self.temperature = temperature
        self.projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding))

    def forward(self, first: Tensor, second: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) of two views, row by row of the same picture, to the loss of each view,
        (2 N,) float32 of the N rows of all processes, and its time.

        times: (2, B), of the two views."""
        pooled = torch.cat([first, second]).mean((2, 3))  # (2 B, C)
        # In float32: in half precision the length of a vector near 0 is 0.
        z = F.normalize(self.projector(pooled).float(), dim=-1)
        left, right = (gather(view) for view in z.chunk(2))
        losses = nt_xent(left, right, self.temperature, "none")
        return losses, torch.cat([gather(some) for some in times])
