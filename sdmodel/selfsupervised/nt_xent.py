"""NT-Xent, the loss of SimCLR (Chen et al. 2020, arXiv:2002.05709, equation 1)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def nt_xent(
    first: Tensor, second: Tensor, temperature: float, reduction: Literal["mean", "none"] = "mean"
) -> Tensor:
    """Mean cross-entropy of finding a view's other view among all views, a float32 scalar, under
    autocast too.

    first, second: (N, D) of length 1, row by row of the same picture, N >= 2. reduction: "none" gives that of
    each view, (2 N,)."""
    z, n = torch.cat([first, second]).float(), len(first)  # (2 N, D)
    own = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    with torch.autocast(z.device.type, enabled=False):  # in which `@` would be bf16 whatever it is given
        logits = (z @ z.T / temperature).masked_fill(own, float("-inf"))
        return F.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n), reduction=reduction)
