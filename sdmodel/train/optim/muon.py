"""Muon: momentum whose update is made orthogonal, for matrices and convolutions.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. torch.optim.Muon iterates in bfloat16, which
many CPUs emulate slowly; here the iteration is in float32 on CPUs and matrices of one shape are iterated
together.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

STEPS = 5
MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)
WORTH_SHARING = 128 * 128
"""Entries from which on processes divide the matrices of a shape among themselves."""


def orthogonal(g: Tensor, steps: int = STEPS) -> Tensor:
    """The matrices (K, m, n) with their singular values pushed towards 1 (they end in about [0.7, 1.2]).

    Newton-Schulz iteration with Jordan's quintic, in g's dtype."""
    a, b, c = QUINTIC
    tall = g.shape[-2] > g.shape[-1]
    x = g.mT if tall else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    if x.shape[-1] < 2 * x.shape[-2]:
        for _ in range(steps):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
    else:
        # A wide matrix is touched but twice: all factors are polynomials of its Gram matrix and commute.
        gram, identity = x @ x.mT, torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
        product = a * identity + b * gram + c * gram @ gram
        factor = product
        for _ in range(steps - 1):
            gram = factor @ gram @ factor
            factor = a * identity + b * gram + c * gram @ gram
            product = factor @ product
        x = product @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, times lr * sqrt(max(1, rows / columns)).

    A convolution is the matrix (out, in * k * k)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = MOMENTUM,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients; parameters without one stay."""
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape[0], parameter[0].numel()].append(parameter)
            for (rows, columns), parameters in shapes.items():
                updates = torch.stack(
                    [self._momentum(p, group["momentum"]).reshape(rows, columns) for p in parameters]
                )
                if updates.is_cuda and max(rows, columns) < 2 * min(rows, columns):
                    updates = updates.bfloat16()  # the Gram matrix's small eigenvalues need float32
                scale = max(1, rows / columns) ** 0.5
                for p, update in zip(parameters, shared(updates), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.reshape(p.shape), alpha=-group["lr"] * scale)

    def _momentum(self, p: nn.Parameter, momentum: float) -> Tensor:
        assert p.grad is not None
        if not self.state[p]:
            self.state[p]["momentum"] = torch.zeros_like(p)
        buffer: Tensor = self.state[p]["momentum"]
        buffer.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(buffer, momentum)


def shared(g: Tensor) -> Tensor:
    """`orthogonal` of matrices (K, m, n) that all processes hold alike: each process does its part."""
    world = dist.get_world_size() if dist.is_initialized() else 1
    if world == 1 or g[0].numel() < WORTH_SHARING:
        return orthogonal(g)
    each = -(-len(g) // world)
    rank = dist.get_rank()
    mine = g.new_zeros(each, *g.shape[1:])
    part = g[rank * each : (rank + 1) * each]
    if len(part):
        mine[: len(part)] = orthogonal(part)
    whole = g.new_empty(world * each, *g.shape[1:])
    dist.all_gather_into_tensor(whole, mine)
    return whole[: len(g)]
