"""What the loop asks of a thing to be trained.

An objective is built from (config, training captions): it learns its tokenizer, builds its modules with
weights drawn from `torch`'s global generator (seeded by the caller) and computes its own losses. The loop
knows nothing else about it.
"""

from pathlib import Path
from typing import Protocol

from torch import Tensor, nn


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

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from a model folder that `save` wrote.

        ValueError: the folder holds another kind or another shape of model."""
        ...

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the final model folder (safetensors, JSON, tokenizer) into an existing empty folder.

        weights: averaged weights by the names of `modules.state_dict()`, contiguous, float32, on the CPU."""
        ...
