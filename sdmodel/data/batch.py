"""What a training step sees: one process's rows of a global batch, and random numbers for them.

Every process draws for the whole global batch from the same generator and keeps its own rows. So the noise of
an image depends on (seed, images seen) and on nothing else: one process or many, whole batches or parts of
them train the same model.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdmodel.condition import Condition


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows `start` to `start + B` of a global batch of `size` images."""

    images: Tensor
    """(B, 3, H, W) float32 in [-1, 1]; of cached latents (B, 2 C, h, w) float32: the posterior's
    mean, then the logarithm of its variance, neither normalised."""
    captions: list[str]
    """One for each image; never dropped here, caption dropout is the objective's."""
    uids: list[str]
    """One for each image."""
    index: Tensor
    """(B,) int64: place of each image in the data order, counted over all epochs."""
    size: int
    """Images in the global batch, over all processes."""
    start: int
    """Place of the first row in the global batch."""
    text: Condition | None = None
    """The captions' cached states, B of them, after `to` in float32; None where the stream has none."""
    augmented: Tensor | None = None
    """(B, 9) float32: how each picture was moved, see geometry.py, 0 is not at all; None where none ever
    is."""

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return replace(
            self,
            images=moved(self.images).contiguous(memory_format=torch.channels_last),
            index=moved(self.index),
            text=self.text.to(device) if self.text else None,
            augmented=None if self.augmented is None else moved(self.augmented),
        )

    def pinned(self) -> "Batch":
        """The same in pinned (page-locked) memory, from which a GPU copies while the CPU goes on; there must
        be one."""
        return replace(
            self,
            images=self.images.pin_memory(),
            index=self.index.pin_memory(),
            text=self.text.pinned() if self.text else None,
            augmented=None if self.augmented is None else self.augmented.pin_memory(),
        )

    def micro_batch(self, number: int, of: int) -> "Batch":
        """The `number`-th of `of` equal runs of rows, for gradient accumulation; what is drawn for them is
        what the whole draws for them."""
        rows, rest = divmod(len(self), of)
        assert rest == 0, (len(self), of)
        begin, end = number * rows, (number + 1) * rows
        return replace(
            self,
            images=self.images[begin:end],
            captions=self.captions[begin:end],
            uids=self.uids[begin:end],
            index=self.index[begin:end],
            start=self.start + begin,
            text=self.text.rows(begin, end) if self.text else None,
            augmented=None if self.augmented is None else self.augmented[begin:end],
        )

    def normal(self, generator: torch.Generator, *shape: int) -> Tensor:
        """(B, *shape) float32 standard normal: this process's rows of a draw for the global batch."""
        return self._rows(torch.randn(self.size, *shape, generator=generator, device=generator.device))

    def uniform(self, generator: torch.Generator, *shape: int) -> Tensor:
        """(B, *shape) float32 uniform on [0, 1): this process's rows of a draw for the global batch."""
        return self._rows(torch.rand(self.size, *shape, generator=generator, device=generator.device))

    def stratified(self, generator: torch.Generator) -> Tensor:
        """(B,) float32 on [0, 1): in the global batch one in each of `size` equal strata, shuffled."""
        strata = torch.randperm(self.size, generator=generator, device=generator.device)
        inside = torch.rand(self.size, generator=generator, device=generator.device)
        return self._rows((strata + inside) / self.size)

    def _rows(self, drawn: Tensor) -> Tensor:
        return drawn[self.start : self.start + len(self)]
