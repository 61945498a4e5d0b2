"""What the loop asks of a thing to be trained, and of what judges it on the way.

An objective is built from (config, training captions): it learns its tokenizer, builds its modules with
weights drawn from `torch`'s global generator (seeded by the caller) and computes its own losses. The loop
knows nothing else about it.
"""

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sdmodel.data.batch import Batch
from sdmodel.train.ema import Averages


class Objective(Protocol):
    """A model with its loss; all parameters are float32."""

    @property
    def modules(self) -> nn.Module:
        """Every trained parameter.

        `forward(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]`: named losses, each a float32
        scalar, the mean over the batch's rows; their sum is minimised, and "loss" must not be one of the
        names. Random numbers come from `batch.normal`, `batch.uniform` and `batch.stratified` with
        `generator`, so that they are the same for one process or many. Sub-modules are called inside this
        forward alone: anything else bypasses DistributedDataParallel."""
        ...

    @property
    def heavy(self) -> list[nn.Module]:
        """Sub-modules, none in another, where the time is spent: worth compiling and computing twice."""
        ...

    @property
    def whole_batch(self) -> bool:
        """Whether the loss compares the rows of a batch, which then cannot be taken in parts."""
        ...

    def errors(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """What validation adds up over batches, float64 sums over the batch's rows by name; see
        validation.py."""
        ...

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from a model folder that `save` wrote.

        ValueError: the folder holds another kind or another shape of model."""
        ...

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the final model folder (safetensors, JSON, tokenizer) into an existing empty folder.

        weights: averaged weights by the names of `modules.state_dict()`, contiguous, float32, on the CPU."""
        ...


class Judge(Protocol):
    """Measures the model while it learns; see validation.py."""

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop early."""
        ...

    @property
    def improved(self) -> bool:
        """Whether the averaged weights of the last `run` are the best so far."""
        ...

    def run(self, images: int, averages: Averages) -> dict[str, float]:
        """Measures by name, the same on all processes; all processes call it."""
        ...

    def state(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        ...
