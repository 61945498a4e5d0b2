"""Tensors of which each process has a part, see sharding.py: whole again, cut anew, swapped.

What looks at whole tensors (snapshots, the published weights) gathers them one by one, and all processes have
to take part in that, in the same order. What is whole already is left as it is by everything here.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_shared(modules: nn.Module) -> bool:
    """Whether `sharding.placed` shared them out."""
    return isinstance(modules, FSDPModule)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which each process has a part; any other is returned as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors. Where some are shared out, they are on the CPU of the main process, and other processes
    get none; all must call this."""
    if not any(isinstance(tensor, DTensor) for tensor in tensors.values()):
        return dict(tensors)
    main, found = dist.get_rank() == 0, dict[str, Tensor]()
    for name, tensor in tensors.items():
        full = whole(tensor.detach())  # one at a time: a device need not hold two models
        if main:
            found[name] = full.cpu()
    return found


def share_out(full: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, cut as `like` is, on its device; where `like` is whole, `full`
    itself. Nothing is sent: each process has `full`."""
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def changing(modules: nn.Module) -> dict[str, Tensor]:
    """What a training changes, by the names of `state_dict`: weights that are learned, and buffers. Frozen
    weights are those that it started from."""
    frozen = {name for name, p in modules.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return {name: value for name, value in modules.state_dict().items() if name not in frozen}


def load(modules: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Puts what `changing` gave, whole, into modules that may be shared out.

    ValueError: it is of another model, or other parts are frozen. RuntimeError: shapes differ."""
    mine = changing(modules)
    if strange := sorted(mine.keys() ^ tensors.keys()):
        raise ValueError(f"{strange[0]} is {'not in it' if strange[0] in mine else 'not learned'}")
    modules.load_state_dict(
        {name: share_out(value, mine[name]) for name, value in tensors.items()}, strict=False
    )


@torch.no_grad()
def swap(one: Tensor, other: Tensor) -> None:
    """Swaps what two tensors hold. Nothing is copied where they are whole; of shares the contents are, since
    `fully_shard` keeps hold of the memory."""
    if isinstance(one, DTensor):
        mine, others = one.to_local(), cast(DTensor, other).to_local()
        held = mine.clone()
        mine.copy_(others)
        others.copy_(held)
    else:
        one.data, other.data = other.data, one.data


@contextmanager
def opened(modules: nn.Module) -> Generator[None]:
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
