"""Muon: momentum whose update is made orthogonal, for hidden matrices and convolutions.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. torch.optim.Muon iterates in bfloat16, which
many CPUs emulate slowly; here the iteration is in float32 on CPUs and matrices of one shape are iterated
together. Of a weight that holds several matrices, as keys and values, each is made orthogonal by itself.

The step of a matrix (m, n) is the learning rate times sqrt(max(1, m / n)), torch's adjust_lr_fn "original".
Its spectral norm depends on the ratio of m and n alone, as the spectral condition asks (Yang, Simon and
Bernstein 2023, arXiv:2310.17813, condition 1), so that one rate serves every width. The other usual factor,
0.2 * sqrt(max(m, n)) (Liu et al. 2025, arXiv:2502.16982, section 2.2), makes entries move as far as AdamW's,
and takes AdamW's rates, which must fall as the width grows.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from sdmodel.train.dtensors import distribute, full
from sdmodel.train.optim.roles import PLAIN, Layout

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
    """Nesterov momentum, made orthogonal, times lr * sqrt(max(1, m / n)).

    A group's "layout" says how matrices lie in its weights. Weight decay is decoupled, as AdamW's: a step
    takes lr * weight_decay of a weight away. Of sharded weights (fsdp.py) momenta are sharded, too; updates
    are gathered, each matrix is made orthogonal in one process, and each process keeps its part of them.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = MOMENTUM,
        weight_decay: float = 0.0,
        layout: Layout = PLAIN,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "layout": layout}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step along the gradients; parameters without one stay."""
        alike: dict[tuple[int, int], list[tuple[nn.Parameter, dict[str, Any]]]] = defaultdict(list)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    alike[group["layout"].shape(p)].append((p, group))
        for shape, members in alike.items():
            # Whole updates of sharded weights take room: no more of them at once than processes work on.
            sharded = isinstance(members[0][0], DTensor)
            most = dist.get_world_size() if sharded else len(members)
            for first in range(0, len(members), most):
                self._step(members[first : first + most], shape)

    def _step(self, members: list[tuple[nn.Parameter, dict[str, Any]]], shape: tuple[int, int]) -> None:
        """The step of weights whose matrices are all of one shape (m, n)."""
        rows, columns = shape
        updates = [group["layout"].split(self._update(p, group["momentum"])) for p, group in members]
        stacked = torch.cat(updates)  # (K, m, n)
        if stacked.is_cuda and max(shape) < 2 * min(shape):
            stacked = stacked.bfloat16()  # the Gram matrix's small eigenvalues need float32
        scale = max(1, rows / columns) ** 0.5
        parts = shared(stacked).split([len(update) for update in updates])
        for (p, group), part in zip(members, parts, strict=True):
            step = group["layout"].join(part, p.shape)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(distribute(step.to(p.dtype), p), alpha=-group["lr"] * scale)

    def _update(self, p: nn.Parameter, momentum: float) -> Tensor:
        """The momentum's update, whole where the weight is sharded."""
        assert p.grad is not None
        if not self.state[p]:
            self.state[p]["momentum"] = torch.zeros_like(p)
        buffer: Tensor = self.state[p]["momentum"]
        buffer.lerp_(p.grad, 1 - momentum)
        return full(p.grad.lerp(buffer, momentum))


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
