"""The linear probe: multinomial logistic regression on frozen features (as Chen et al. 2020,
arXiv:2002.05709, section 2.3, measure them), fit to its optimum, so that it has no rate, length or seed."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

DECAY = 1e-3
"""Weight of half the squared weights, beside the mean cross-entropy of standardised features."""
STEPS = 300
"""Of L-BFGS, at most."""
ROWS = 10_000
"""Rows that a probe is fit to, at most: its float64 features, and the time, are bounded."""


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of standardised features, in float64."""

    mean: Tensor
    """(F,) of the features that it was fit to."""
    deviation: Tensor
    """(F,) of them; 1 where there is none."""
    weight: Tensor
    """(F, C)"""
    bias: Tensor
    """(C,)"""

    def logits(self, features: Tensor) -> Tensor:
        """(M, C) float64 of features (M, F)."""
        return (features.double() - self.mean) / self.deviation @ self.weight + self.bias


def spread_rows(count: int) -> NDArray[np.int64]:
    """(M,) of `count` rows those that a probe is fit to: all, or ROWS that are evenly spread."""
    return np.linspace(0, count - 1, min(ROWS, count)).round().astype(np.int64)


def fit_probe(features: Tensor, labels: Tensor, classes: int, decay: float = DECAY) -> LinearProbe:
    """The probe that minimises mean cross-entropy + decay / 2 |W|^2, by L-BFGS from zeros; the same on every
    call.

    features: (N, F), N >= 1. labels: (N,) int64 in [0, classes)."""
    rows = features.double()
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    rows = (rows - mean) / deviation
    weight = rows.new_zeros(rows.shape[1], classes, requires_grad=True)
    bias = rows.new_zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias],
        max_iter=STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        search.zero_grad()
        error = F.cross_entropy(rows @ weight + bias, labels) + decay / 2 * weight.square().sum()
        error.backward()
        return float(error.detach())

    with torch.enable_grad():
        search.step(closure)
    return LinearProbe(mean, deviation, weight.detach(), bias.detach())
