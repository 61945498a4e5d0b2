"""How far estimates are from what they estimate: sums that add up over batches and processes, and what they
come to."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

SUMS = ("squared", "absolute", "count", "target", "target_squared")
"""Names of the sums, in the order in which `error_sums` computes them."""


def error_sums(estimate: Tensor, target: Tensor, level: Tensor, levels: int) -> dict[str, Tensor]:
    """Sums for each level, {name: (levels,) float64} on the device, names as in SUMS.

    estimate, target: (B, ...) of one shape. level: (B,) int64 in [0, levels), the one that a row counts to.
    "squared" and "absolute" are of the errors, "count" is of the values, "target" and "target_squared" give
    the targets' variance. What is not finite in a row gets into its level alone."""
    error, target = (estimate - target).float().flatten(1), target.float().flatten(1)  # (B, D)
    rows = torch.stack(
        [
            error.square().sum(1, dtype=torch.float64),
            error.abs().sum(1, dtype=torch.float64),
            torch.full(level.shape, error.shape[1], dtype=torch.float64, device=error.device),
            target.sum(1, dtype=torch.float64),
            target.square().sum(1, dtype=torch.float64),
        ]
    )  # (5, B)
    mine = level[:, None] == torch.arange(levels, device=level.device)  # (B, L)
    sums = torch.where(mine, rows[:, :, None], 0.0).sum(1)  # (5, L)
    return dict(zip(SUMS, sums, strict=True))


def figures(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """What sums as of `error_sums` (on the CPU) come to, over all levels and for each, named by "@LEVEL".

    {"mse", "rmse", "mae", "r2", "mse@0", ...}: r2 is 1 - squared errors / squared deviations of the targets
    from their mean, in the same level; it is left out where the targets don't vary, and a level that nothing
    counts to altogether. With one level there is no "@0"."""
    each = torch.stack([sums[name].reshape(-1).double() for name in SUMS])  # (5, L)
    measures = _measures(*each.sum(1).tolist())
    if each.shape[1] > 1:
        for level, column in enumerate(each.T.tolist()):
            measures |= {f"{name}@{level}": value for name, value in _measures(*column).items()}
    return measures


def _measures(
    squared: float, absolute: float, count: float, target: float, target_squared: float
) -> dict[str, float]:
    if not count:
        return {}
    mse = squared / count
    measures = {"mse": mse, "rmse": math.sqrt(mse), "mae": absolute / count}
    variance = target_squared / count - (target / count) ** 2
    # What is left of equal values is rounding.
    return measures | {"r2": 1 - mse / variance} if variance > 1e-12 * target_squared / count else measures
