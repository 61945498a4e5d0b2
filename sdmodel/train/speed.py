"""Speed for memory, memory for speed, and how near a training comes to what its device can do.

`heavy` are the parts of an objective where the time is spent (see objective.py). In this order: count the
FLOPs, compile, checkpoint. What is computed twice for memory's sake is not counted, as it is no use; and what
is checkpointed first would not be compiled at all, since torch's `checkpoint` turns the compiler off.
"""

import functools
import re
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import total
from sdmodel.objective import Objective
from sdmodel.players import losses_of
from sdmodel.train.activations import PassCount, count_pass
from sdmodel.train.buffers import copies, restore

Precision = Literal["fp32", "bf16"]
"""Of matrix products; on GPUs fp32 means TF32, as this project sets it."""
LONG = 3600.0
"""Seconds from which on a training is worth compiling."""
TYPICAL_MFU = 0.3
"""Share of a GPU's peak that trainings usually reach; for estimates beforehand."""
PEAKS: dict[str, tuple[float, float]] = {
    "A10": (125, 62.5),
    "A100": (312, 156),
    "A40": (149.7, 74.8),
    "A800": (312, 156),
    "B200": (2250, 1125),
    "GB200": (2500, 1250),
    "GH200": (989.4, 494.7),
    "H100": (989.4, 494.7),
    "H100 NVL": (835, 417.5),
    "H100 PCIe": (756, 378),
    "H200": (989.4, 494.7),
    "H200 NVL": (835, 417.5),
    "H800": (989.4, 494.7),
    "L4": (121, 60.5),
    "L40": (181, 90.5),
    "L40S": (362, 183),
    "RTX 3090": (71, 35.6),
    "RTX 4090": (165.2, 82.6),
    "RTX 5090": (209.5, 104.8),
    "RTX 6000 Ada": (364, 182),
    "RTX A6000": (154.8, 77.4),
}
"""TFLOP/s of dense matrix products in bf16 and in TF32, from the makers' data sheets, by words of the name
that CUDA gives, where a letter may follow; the longest that fits counts."""


def compile_heavy(objective: Objective) -> None:
    """Compiles the heavy modules in place; names in `state_dict` stay. The first batches then take minutes.

    Each shape of input gets a program of its own: sizes known beforehand make faster ones."""
    # By default the ninth program of one class would be given up: a UNet's levels differ, and so do buckets.
    torch._dynamo.config.recompile_limit = 128  # pyright: ignore
    for module in objective.heavy:
        module.forward = torch.compile(module.forward, dynamic=False)


def worth_compiling(config: TrainConfig, device: torch.device, images: int, per_image: float) -> bool:
    """What `config.compile` says; "auto" is a GPU, for trainings of LONG seconds and more.

    images: still to be seen by this process; per_image: FLOPs, see `count_rows`."""
    if config.compile != "auto":
        return config.compile == "on"
    if device.type != "cuda":
        return False
    precision = "fp32" if config.precision == "fp32" else "bf16"
    return images * per_image / (peak_flops(device, precision) * TYPICAL_MFU) >= LONG


def checkpoint_heavy(objective: Objective) -> None:
    """Makes the heavy modules forget their activations and compute them anew for the gradient.

    Losses, gradients and running statistics stay the same to the bit, dropout included; a step takes about a
    third longer. Modules must not be copied (`copy.deepcopy`) afterwards: a copy would compute with the
    original's weights."""
    for module in objective.heavy:
        contexts = functools.partial(_contexts, module)
        module.forward = functools.partial(
            checkpoint, module.forward, use_reentrant=False, context_fn=contexts
        )


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first forward pass, and around the second."""
    return nullcontext(), _other_buffers(module)


@contextmanager
def _other_buffers(module: nn.Module) -> Generator[None]:
    """Inside, `module` has copies of its buffers: running statistics would take in every batch twice."""
    buffers_of = [(part, dict(part.named_buffers(recurse=False))) for part in module.modules()]
    try:
        for part, buffers in buffers_of:
            for name, buffer in buffers.items():
                setattr(part, name, buffer.clone())
        yield
    finally:
        for part, buffers in buffers_of:
            for name, buffer in buffers.items():
                setattr(part, name, buffer)


def count_rows(objective: Objective, batch: Batch) -> PassCount:
    """What the rows of a batch cost in training, forward and backward, without the optimizer's part.

    Matrix products, convolutions and attention count as FLOPs, 2 for a multiplication and addition, whatever
    is masked; all else is little. A few rows tell as much as many, except for losses that compare rows. The
    objective must be on its device, not wrapped, compiled or checkpointed; it is left as it was. All
    processes call this together if the loss talks to others."""
    modules, device = objective.modules, batch.images.device
    buffers = copies(modules)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        count = count_pass(
            lambda: total(losses_of(modules, objective.players, batch)), modules, list(objective.heavy)
        )
    restore(modules, buffers)
    return count


def peak_flops(device: torch.device, precision: Precision) -> float:
    """FLOP/s that `device` can do at best: by its data sheet (PEAKS), else as measured.

    On a CPU the process's own threads are meant, as fast as they are when this is called first."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        fitting = [part for part in PEAKS if re.search(rf"\b{re.escape(part)}(?![0-9])", name)]
        if fitting:
            return 1e12 * PEAKS[max(fitting, key=len)][precision == "fp32"]
    return _measured(device, precision)


def mfu(images_per_second: float, per_image: float, peak: float) -> float:
    """Model FLOPs utilisation, [0, 1]: the share of the peak that the model itself makes use of (Chowdhery et
    al. 2022, arXiv:2204.02311, appendix B).

    images_per_second and peak are both of one process, or both of all."""
    return images_per_second * per_image / peak


@functools.cache
def _measured(device: torch.device, precision: Precision) -> float:
    side = 1024 if device.type == "cpu" else 8192
    a = torch.ones(side, side, dtype=torch.bfloat16 if precision == "bf16" else torch.float32, device=device)
    best = float("inf")
    for _ in range(4):  # the first one is slower
        began = time.perf_counter()
        product = a @ a
        product[-1, -1].item()  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best
