"""Weights of the losses of joint training: fixed, scheduled, or learned as uncertainties."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sdmodel.config.representation import JointConfig
from sdmodel.denoise.uncertainty import Uncertainty
from sdmodel.losses import metrics


class Term(NamedTuple):
    """One of the losses that are weighed."""

    errors: Tensor
    """(N, ...) float32, whose mean is the loss."""
    times: Tensor
    """(N,) in [0, 1]: of each row's noise level."""


class LossWeights(nn.Module):
    """Weighs "denoising" against "joint"."""

    def __init__(self, config: JointConfig, images: int) -> None:
        """images: that the training sees, over which a schedule goes."""
        super().__init__()
        self.config, self.images = config, images
        names = ("denoising", "joint")
        if config.weights == "uncertainty":
            self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(1)) for name in names})
        elif config.weights == "noise_level":
            self.levels = nn.ModuleDict({name: Uncertainty() for name in names})

    def forward(self, terms: dict[str, Term], images_seen: int) -> dict[str, Tensor]:
        """{NAME_weighted: scalar} of each term, and metrics: the terms themselves, and weight_NAME."""
        losses: dict[str, Tensor] = {}
        watched: dict[str, Tensor] = {}
        for name, term in terms.items():
            plain = term.errors.mean()
            losses[f"{name}_weighted"], weight = self._weighted(name, term, plain, images_seen)
            watched |= {name: plain, f"weight_{name}": weight}
        return {**losses, **metrics(watched)}

    def _weighted(self, name: str, term: Term, plain: Tensor, images_seen: int) -> tuple[Tensor, Tensor]:
        if self.config.weights == "uncertainty":
            return uncertainty_weighted(plain, self.log_variances[name].squeeze(0))
        if self.config.weights == "noise_level":
            level: Uncertainty = self.levels[name]  # pyright: ignore[reportAssignmentType] - a ModuleDict
            return level(term.errors, term.times).mean(), level.log_error(term.times).neg().exp().mean()
        share = alpha(self.config, images_seen / self.images)
        weight = torch.full_like(plain, share if name == "joint" else 1 - share)
        return weight * plain, weight


def uncertainty_weighted(loss: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """exp(-s) L + s, and the weight exp(-s), of a loss L () and its logarithm of variance s (): least where
    s = log L, so that each loss counts as if it were 1 (Kendall et al. 2017, arXiv:1705.07115, equation 7,
    times 2, with s = log sigma^2)."""
    weight = log_variance.neg().exp()
    return weight * loss + log_variance, weight


def alpha(config: JointConfig, share: float) -> float:
    """The weight of the self-supervised loss, [0, 1], after a share of the training's images; that of the
    denoising error is 1 minus it. It is `alpha`, or falls from there to `alpha_end` over `over` of the
    training."""
    if config.weights == "fixed":
        return config.alpha
    part = min(1.0, share / config.over)
    left = (1 + math.cos(math.pi * part)) / 2 if config.decay == "cosine" else 1 - part
    return config.alpha_end + (config.alpha - config.alpha_end) * left
