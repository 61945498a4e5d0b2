"""What memory a training takes, from formulas: what each weight costs, and what each row of a batch does."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from sdmodel.config.train import TrainConfig
from sdmodel.train.activations import Activations, PassCount

FLOAT = 4
"""Bytes of a weight, of its gradient, and of each of its moments and averages: all are float32."""
MOMENTS: Mapping[str, float] = {"muon": 2, "adamw": 2, "lion": 1, "adamw8bit": 0.5}
"""Moments of a learned weight by optimizer, at most, in float32: Muon keeps one of matrices, two of the
rest."""
CONTEXT = 2**30
"""Bytes that CUDA, its kernels and their work spaces take; assumed."""
SPARE = 0.1
"""Share of a device's memory that is left for temporaries and fragments; assumed."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes that one process takes for a training, by what they are for; from formulas, not measured."""

    weights: int
    gradients: int
    moments: int
    averages: int
    activations: Activations
    checkpointed: Activations
    """Of activation checkpointing."""

    @property
    def state(self) -> int:
        """Weights, gradients, moments and averages."""
        return self.weights + self.gradients + self.moments + self.averages

    def shared(self, processes: int) -> "MemoryEstimate":
        """Of each of so many processes that share weights, gradients, moments and averages (FSDP)."""
        parts = ("weights", "gradients", "moments", "averages")
        return replace(self, **{part: getattr(self, part) // processes for part in parts})

    def total(self, rows: int, *, checkpointing: bool) -> int:
        """Of a step that takes so many rows at once."""
        activations = self.checkpointed if checkpointing else self.activations
        return CONTEXT + self.state + activations.constant + rows * activations.row

    def rows(self, memory: float, *, checkpointing: bool) -> int:
        """How many rows fit at once into a device of so many bytes; 0 where none does."""
        free = memory * (1 - SPARE) - self.total(0, checkpointing=checkpointing)
        activations = self.checkpointed if checkpointing else self.activations
        return max(0, int(free // max(1, activations.row)))


def estimate_memory(modules: nn.Module, config: TrainConfig, count: PassCount, rows: int) -> MemoryEstimate:
    """Of a process that holds all weights. count: of so many rows; see `sdmodel.train.speed.count_rows`."""
    return MemoryEstimate(
        **state_bytes(modules, config),
        activations=count.saved.each(rows),
        checkpointed=count.checkpointed.each(rows),
    )


def check_fits(modules: nn.Module, config: TrainConfig, device: torch.device, processes: int) -> None:
    """ValueError: weights, gradients, moments and averages alone are more than this process's part of the
    memory of its GPU, or of the machine; activations come on top, which smaller parts of a batch make
    less."""
    state = sum(state_bytes(modules, config).values()) // (processes if config.fsdp else 1)
    memory, where = _memory(device, processes)
    if state > memory:
        raise ValueError(
            f"weights, gradients, moments and averages take {state / 2**30:.1f} GiB, and {where} is "
            f"{memory / 2**30:.1f} GiB: take a smaller model, optimizer.kind=lion, ema.lengths=[], low-rank "
            "changes of a model (lora.rank), or share them between processes (fsdp)"
        )


def tight_memory(
    whole: MemoryEstimate, config: TrainConfig, device: torch.device, processes: int
) -> str | None:
    """What a user should know who is about to run out of memory, in a sentence; None: a step fits.

    It is an estimate, and only warned of: what is not counted (temporaries, a framework's own) may take a
    tenth more, and what is counted need not all be there at once. whole: of one process that holds all
    weights, at the size whose rows take most."""
    memory, where = _memory(device, processes)
    own = whole.shared(processes) if config.fsdp else whole
    checkpointing = config.activation_checkpointing
    share = config.batch // processes
    rows = math.ceil(share / config.accumulate) if config.accumulate else 1  # 0 finds out what fits
    taken = own.total(rows, checkpointing=checkpointing)
    if taken <= memory:
        return None
    fitting = own.rows(memory, checkpointing=checkpointing)
    if fitting and not config.whole_batch:
        parts = next(
            parts for parts in range(1, share + 1) if share % parts == 0 and share <= parts * fitting
        )
        remedy = f"accumulate={parts} takes {share // parts} at once, with the same result"
    elif not checkpointing and own.rows(memory, checkpointing=True):
        remedy = "activation_checkpointing=true takes less"
    else:
        remedy = "take a smaller model, size or batch"
    return (
        f"a step with {rows:,} rows at once takes about {taken / 2**30:.1f} GiB (estimated from the shapes "
        f"of what is computed), and {where} is {memory / 2**30:.1f} GiB: {remedy}"
    )


def _memory(device: torch.device, processes: int) -> tuple[int, str]:
    """Bytes that a process may take, and of what."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory, "the GPU"
    return memory_of_machine() // processes, "a process's part of the machine's memory"


def memory_of_machine() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def state_bytes(modules: nn.Module, config: TrainConfig) -> dict[str, int]:
    """Bytes, at most, of a training's "weights", "gradients", "moments" and "averages", in all."""
    whole = sum(p.numel() for p in modules.parameters())
    learned = sum(p.numel() for p in modules.parameters() if p.requires_grad)
    return {
        "weights": FLOAT * whole,
        "gradients": FLOAT * learned,
        "moments": int(FLOAT * learned * MOMENTS.get(config.learning.kind, max(MOMENTS.values()))),
        "averages": FLOAT * learned * (1 + len(config.ema.lengths)),
    }
