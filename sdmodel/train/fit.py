"""How much of a batch fits into memory at once."""

import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.data.batch import Batch
from sdmodel.train.objective import Objective

BALLAST = 4
"""Copies of the learned weights that a step holds beside them: gradients, two momenta, an average."""


def fewest_parts(objective: Objective, batch: Batch, accelerator: Accelerator) -> int:
    """The fewest equal parts of a process's share of a batch that each fit into memory, the same for all.

    Found by computing gradients of smaller and smaller parts; the model is left as it was. `batch` is on the
    device.
    torch.OutOfMemoryError: a single row does not fit."""
    rows = len(batch)
    possible = [parts for parts in range(1, rows + 1) if rows % parts == 0]
    if objective.whole_batch:
        possible = possible[:1]
    for parts in possible:
        try:
            _try(objective, batch.part(0, parts), accelerator)
        except torch.OutOfMemoryError:
            if parts == possible[-1]:
                raise
            continue
        return _most(parts, accelerator)
    raise AssertionError("an empty batch")


def _try(objective: Objective, part: Batch, accelerator: Accelerator) -> None:
    modules, device = objective.modules, part.images.device
    learned = [p for p in modules.parameters() if p.requires_grad]
    held = [buffer.clone() for buffer in modules.buffers()]  # running statistics must not see this batch
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), accelerator.autocast():
            ballast = [torch.empty_like(p) for p in learned for _ in range(BALLAST)]
            losses = modules(part, torch.Generator(device).manual_seed(0))
            torch.autograd.grad(torch.stack(list(losses.values())).sum(), learned, allow_unused=True)
            del ballast
    finally:
        with torch.no_grad():
            for buffer, value in zip(modules.buffers(), held, strict=True):
                buffer.copy_(value)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _most(parts: int, accelerator: Accelerator) -> int:
    """The largest of what the processes found: it divides the rows of each, since they have as many."""
    mine = torch.tensor([parts], device=accelerator.device)
    found: Tensor = accelerator.gather(mine)  # pyright: ignore
    return int(found.max())
