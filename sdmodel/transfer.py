"""Asynchronous copies from the CPU to a GPU, through pinned memory."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU, on `device`. Only from pinned (page-locked) memory does a GPU copy while the CPU
    goes on."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
