"""The supervised contrastive loss (Khosla et al. 2020, arXiv:2004.11362, equation 2, L_out)."""

import torch
from torch import Tensor

UNLABELLED = -1
"""In the place of a row's label: it has none."""


def supervised_contrastive(first: Tensor, second: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean over all views of the mean cross-entropy of finding one of its positives among all other views, a
    float32 scalar, under autocast too. A view's positives are its other view and both views of all rows with
    its label; without labels, or with a label for each row, it is NT-Xent.

    first, second: (N, D) of length 1, row by row of the same picture, N >= 2. labels: (N,) int64 >= 0, or
    UNLABELLED."""
    z, n = torch.cat([first, second]).float(), len(first)  # (2 N, D)
    own = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    same = (labels[:, None] == labels) & (labels != UNLABELLED)  # (N, N)
    same = same | torch.eye(n, dtype=torch.bool, device=z.device)
    positive = same.tile(2, 2) & ~own  # (2 N, 2 N)
    with torch.autocast(z.device.type, enabled=False):  # in which `@` would be bf16 whatever it is given
        logits = (z @ z.T / temperature).masked_fill(own, float("-inf"))
        log_p = logits.log_softmax(1).masked_fill(~positive, 0)  # (2 N, 2 N)
        return -(log_p.sum(1) / positive.sum(1)).mean()
