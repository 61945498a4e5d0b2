"""What the training loop asks of a thing to be trained.

An objective is built from (config, training captions): it learns its tokenizer, builds its modules with
weights drawn from `torch`'s global generator (seeded by the caller) and computes its own losses. The loop
knows nothing else about it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from sdmodel.data.batch import Batch
from sdmodel.players import Player
from sdmodel.text.lengths import CaptionReader

Sampler = Callable[[list[str], list[int], int], Tensor]
"""(captions, seeds, pixels to a side) -> pictures (B, 3, H, W) in [-1, 1], each of its caption and its seed
alone; of 0 pixels they have the size that was taught last."""


class Objective(Protocol):
    """A model with its loss; all parameters are float32."""

    @property
    def modules(self) -> nn.Module:
        """Every trained parameter.

        `forward(batch: Batch) -> dict[str, Tensor]`: named losses, each a float32
        scalar, the mean over the batch's rows; their sum is minimised, and "loss" must not be one of the
        names. Metrics that are only written down come beside them, see sdmodel/losses.py. Random numbers come
        from `batch.normal`, `batch.uniform` and `batch.stratified`, so that they are the same for one process
        or many. Sub-modules are called inside this forward alone: anything else bypasses
        DistributedDataParallel.

        Where there are `players`, the signature is `forward(batch, player: str)`, and the losses are those of
        that player's turn, by names that no other player uses."""
        ...

    @property
    def players(self) -> Sequence[Player]:
        """Who learns against whom, in the order of their turns on a batch; empty: everything learns at
        once."""
        ...

    @property
    def heavy(self) -> list[nn.Module]:
        """Sub-modules, none in another, where the time is spent: worth compiling and computing twice."""
        ...

    @property
    def whole_batch(self) -> bool:
        """Whether the loss compares the rows of a batch, which then cannot be taken in parts."""
        ...

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """What reads captions, each so many tokens of one; none where captions are not read."""
        ...

    @property
    def sample(self) -> Sampler | None:
        """Draws pictures with the weights as they are; None of an objective that draws none."""
        ...

    @property
    def enough(self) -> Callable[[Mapping[str, float]], bool] | None:
        """Whether the measures of a validation, by name, end the training since the model is good enough;
        None where no measure ever does."""
        ...

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """What validation adds up over batches, float64 sums over the batch's rows by name; see
        sdmodel/train/validation.py."""
        ...

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from a model folder that `save` wrote.

        ValueError: the folder holds another kind or another shape of model."""
        ...

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the final model folder (safetensors, JSON, tokenizer) into an existing empty folder.

        weights: averaged weights by the names of `modules.state_dict()`, contiguous, float32, on the CPU."""
        ...
