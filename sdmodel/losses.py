"""What a training step computes: losses, whose sum is minimised, and metrics, which are written down beside
them and teach nothing (weights of losses, an error before it is weighed, a discriminator's accuracy).

Both are float32 scalars of one dictionary, means over the batch's rows; metrics have METRIC before their
names, and are detached.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

METRIC = "metric/"
"""Begins the names of metrics, until they are written down."""


def metrics(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars by the names under which they are to be written down, as metrics."""
    return {METRIC + name: value.detach().float() for name, value in values.items()}


def is_loss(name: str) -> bool:
    """Whether what has this name is minimised."""
    return not name.startswith(METRIC)


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """What is minimised: the sum () of the losses, at least one, without metrics."""
    return torch.stack([loss for name, loss in losses.items() if is_loss(name)]).sum()
