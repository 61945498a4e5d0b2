"""How much an adversary counts beside a reconstruction: as much as both move the decoder's last layer."""

import torch
import torch.distributed as dist
from torch import Tensor

DELTA = 1e-6
"""Keeps the ratio finite."""
MOST = 1e4
"""Bound of the ratio, as in the authors' code."""


def adaptive_weight(reconstruction: Tensor, adversary: Tensor, layer: Tensor) -> Tensor:
    """The ratio () float32 of the norms of two losses' gradients, |dL_rec / dW| / (|dL_adv / dW| + DELTA) in
    [0, MOST] (Esser et al. 2020, arXiv:2012.09841, equation 7), detached.

    The gradients are those of the global batch, averaged over all processes, which call this together; the
    graph stays for the backward pass.

    Args:
        reconstruction: () of this process's rows.
        adversary: () of this process's rows.
        layer: W, the weights of the decoder's last layer.
    """
    norms = [_gradient(loss, layer).norm() for loss in (reconstruction, adversary)]
    return (norms[0] / (norms[1] + DELTA)).clamp(0, MOST)


def _gradient(loss: Tensor, layer: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, layer, retain_graph=True)
    gradient = gradient.detach().float()
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(gradient)
        gradient = gradient / dist.get_world_size()
    return gradient
