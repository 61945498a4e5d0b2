"""All processes' rows of a tensor, with gradients: a loss over the global batch is then the same however
many processes share it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        # Every process computes the same loss, so it has the gradient of all rows already.
        # DistributedDataParallel will take the mean over processes, while each process's rows reach the
        # weights of that process alone: times their number.
        world, rank = dist.get_world_size(), dist.get_rank()
        return gradient.chunk(world)[rank] * world


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of each process to (world * B, ...), in the processes' order.

    Every process must then compute the same loss from it."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    return _Gather.apply(rows) if rows.is_floating_point() else torch.cat(_gather_plain(rows))  # pyright: ignore


def _gather_plain(rows: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return parts
