"""What a training step sees: one process's rows of a global batch, and random numbers for them.

Every process draws for the whole global batch from the same generator and keeps its own rows. So the noise of
an image depends on (seed, images seen) and on nothing else, and one process or many train the same model.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows `start` to `start + B` of a global batch of `size` images."""

    images: Tensor
    """(B, 3, S, S) float32 in [-1, 1]."""
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

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last),
            index=self.index.to(device, non_blocking=True),
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
