"""How much of a batch fits into memory at once, for gradient accumulation."""

import math
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.buckets import bucket_shapes
from sdmodel.data.batch import Batch
from sdmodel.data.stream import Stream
from sdmodel.losses import total
from sdmodel.objective import Objective
from sdmodel.players import losses_of
from sdmodel.train.buffers import copies, restore

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
            _try(objective, batch.micro_batch(0, parts), accelerator)
        except torch.OutOfMemoryError:
            if parts == possible[-1]:
                raise
            continue
        return _most(parts, accelerator)
    raise AssertionError("an empty batch")


def largest(stream: Stream, images: int) -> Batch:
    """A batch as large as any of the stream's: the one after `images` images, and where there are several
    buckets, with black pictures of the one that has most pixels."""
    batch, reader = stream.at(images), stream.reader
    if len(reader.shapes) == 1:
        return batch
    bucket = int(reader.buckets[reader.index.uids.index(batch.uids[0])])
    factor = reader.shapes[bucket][0] // batch.images.shape[2]  # pixels to a side of one place
    height, width = max((reader.shapes[other] for other in set(reader.buckets.tolist())), key=math.prod)
    return black(batch, height // factor, width // factor)


def largest_of(stream: Stream, images: int, size: int) -> Batch:
    """The same of another stage: the stream's batch after `images` images, with black pictures of a size, in
    the shape that has most pixels."""
    shapes = bucket_shapes(size, stream.data.buckets, stream.data.max_aspect)
    return black(stream.at(images), *max(shapes, key=math.prod))


def black(batch: Batch, height: int, width: int) -> Batch:
    """The same batch with black arrays (B, C, height, width) for pictures, to measure what they take."""
    pictures = batch.images.new_zeros(*batch.images.shape[:2], height, width)
    return replace(batch, images=pictures.contiguous(memory_format=torch.channels_last))


def _try(objective: Objective, part: Batch, accelerator: Accelerator) -> None:
    modules, device = objective.modules, part.images.device
    learned = [p for p in modules.parameters() if p.requires_grad]
    buffers = copies(modules)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), accelerator.autocast():
            ballast = [torch.empty_like(p) for p in learned for _ in range(BALLAST)]
            losses = losses_of(modules, objective.players, part)
            torch.autograd.grad(total(losses), learned, allow_unused=True)
            del ballast
    finally:
        restore(modules, buffers)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)  # what did not fit is not the training's


def _most(parts: int, accelerator: Accelerator) -> int:
    """The largest of all processes' numbers: it divides the rows of each, since they have as many."""
    mine = torch.tensor([parts], device=accelerator.device)
    parts_of_all: Tensor = accelerator.gather(mine)  # pyright: ignore
    return int(parts_of_all.max())
