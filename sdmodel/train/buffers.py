"""Buffers of a model (running statistics), copied and restored around batches that they must not remember."""

import torch
from torch import Tensor, nn


def copies(modules: nn.Module) -> list[Tensor]:
    """The values of all buffers, in memory of their own."""
    return [buffer.clone() for buffer in modules.buffers()]


@torch.no_grad()
def restore(modules: nn.Module, values: list[Tensor]) -> None:
    """Fills the buffers with what `copies` returned."""
    for buffer, value in zip(modules.buffers(), values, strict=True):
        buffer.copy_(value)
