"""Hidden patches: which they are, and the error of what is given back (MAE; He et al. 2021,
arXiv:2111.06377)."""

import torch
from torch import Tensor

EPSILON = 1e-6
"""Added to a patch's variance: one of a single colour has none."""


def hidden_patches(u: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Which patches are seen and which are hidden: places (B, V) and (B, M) int64, V + M = N, both at least
    one and in the draws' order.

    u: (B, N) uniform on [0, 1), what they are a function of; N >= 2. share: of N that is hidden."""
    count = u.shape[1]
    hidden = hidden_count(count, share)
    order = u.argsort(dim=1, stable=True)
    return order[:, : count - hidden], order[:, count - hidden :]


def hidden_count(count: int, share: float) -> int:
    """How many of so many patches, 2 or more, are hidden; at least one is, and at least one is seen."""
    return min(count - 1, max(1, round(share * count)))


def chosen(rows: Tensor, places: Tensor) -> Tensor:
    """(B, K, C): of each row (B, N, C) what is at its places (B, K)."""
    return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[-1]))


def masked_error(predicted: Tensor, patches: Tensor) -> Tensor:
    """Mean squared error of predictions of patches, each patch normalised by its own mean and deviation
    (section 4.1), a float32 scalar, under autocast too.

    predicted, patches: (B, M, P), of pixels P."""
    with torch.autocast(predicted.device.type, enabled=False):
        pixels = patches.float()
        deviation = (pixels.var(-1, keepdim=True) + EPSILON).sqrt()
        target = (pixels - pixels.mean(-1, keepdim=True)) / deviation
        return (predicted.float() - target).square().mean()
