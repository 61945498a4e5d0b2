"""Buffers of a model (running statistics) kept aside, for batches that they must not remember."""

import torch
from torch import Tensor, nn


def copied(modules: nn.Module) -> list[Tensor]:
    """What all buffers hold, in memory of its own."""
    return [buffer.clone() for buffer in modules.buffers()]


@torch.no_grad()
def put_back(modules: nn.Module, copies: list[Tensor]) -> None:
    """Fills the buffers with what `copied` gave."""
    for buffer, value in zip(modules.buffers(), copies, strict=True):
        buffer.copy_(value)
