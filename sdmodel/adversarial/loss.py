"""Losses of a discriminator and of what it judges, from its logits: above 0 it says real."""

from torch import Tensor
from torch.nn import functional as F


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's (), E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Lim and Ye 2017,
    arXiv:1705.02894). Logits of any shape, float32."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def logistic(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's (), -E[log s(D(x))] - E[log(1 - s(D(G(z))))], s the logistic function (Goodfellow
    et al. 2014, arXiv:1406.2661, equation 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """The generator's () beside `logistic`, -E[log s(D(G(z)))] (the same, section 3), whose gradient does not
    vanish where the discriminator is sure."""
    return F.softplus(-fake).mean()


def accuracies(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Shares () in [0, 1] of logits that judge right: "real_as_real", "fake_as_fake"."""
    return {"real_as_real": (real > 0).float().mean(), "fake_as_fake": (fake < 0).float().mean()}
