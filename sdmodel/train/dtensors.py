"""DTensors, of which each process has a part (see fsdp.py): gathered, distributed, swapped.

What looks at whole tensors (checkpoints, the published weights) gathers them one by one, and all processes
have to take part in that, in the same order. What is no DTensor is left as it is by everything here.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_fsdp(modules: nn.Module) -> bool:
    """Whether `fsdp.place` has sharded them."""
    return isinstance(modules, FSDPModule)


def full(tensor: Tensor) -> Tensor:
    """The full tensor of a DTensor; any other is returned as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Full tensors. Where some are DTensors, all are on the CPU of the main process, and other processes get
    none; all must call this."""
    if not any(isinstance(tensor, DTensor) for tensor in tensors.values()):
        return dict(tensors)
    main, gathered = dist.get_rank() == 0, dict[str, Tensor]()
    for name, tensor in tensors.items():
        value = full(tensor.detach())  # one at a time: a device need not hold two models
        if main:
            gathered[name] = value.cpu()
    return gathered


def distribute(value: Tensor, like: Tensor) -> Tensor:
    """This process's part of a full tensor, sharded as `like` is, on its device; where `like` is no DTensor,
    `value` itself. Nothing is sent: each process has `value`."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def trained_state(modules: nn.Module) -> dict[str, Tensor]:
    """What a training changes, by the names of `state_dict`: weights that are learned, and buffers. Frozen
    weights are those that it started from."""
    frozen = {name for name, p in modules.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: value for name, value in modules.state_dict().items() if name not in frozen}


def load(modules: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Restores what `trained_state` returned, in full tensors, into modules that may be sharded.

    ValueError: it is of another model, or other parts are frozen. RuntimeError: shapes differ."""
    mine = trained_state(modules)
    if strange := sorted(mine.keys() ^ tensors.keys()):
        raise ValueError(f"{strange[0]} is {'not in it' if strange[0] in mine else 'not learned'}")
    modules.load_state_dict(
        {name: distribute(value, mine[name]) for name, value in tensors.items()}, strict=False
    )


@torch.no_grad()
def swap(a: Tensor, b: Tensor) -> None:
    """Swaps the contents of two tensors. Nothing is copied unless they are DTensors, of which `fully_shard`
    keeps hold of the memory."""
    if isinstance(a, DTensor):
        local_a, local_b = a.to_local(), cast(DTensor, b).to_local()
        copy = local_a.clone()
        local_a.copy_(local_b)
        local_b.copy_(copy)
    else:
        a.data, b.data = b.data, a.data


@contextmanager
def unsharded(modules: nn.Module) -> Generator[None]:
    """Inside, parts of `modules` can be called past its forward; all processes must call the same ones.

    Not for gradients. Weights must not be changed inside."""
    if not isinstance(modules, FSDPModule):
        yield
        return
    modules.unshard()  # what no heavy module has
    try:
        yield
    finally:
        modules.reshard()


def broadcast_buffers(modules: nn.Module) -> None:
    """Running statistics become the main process's, as in DistributedDataParallel, before each forward."""
    for buffer in modules.buffers():
        dist.broadcast(buffer, 0)
