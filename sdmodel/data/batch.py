"""What a training step sees: one process's rows of a global batch, and random numbers for them.

What is drawn for a row depends on (seed, its place in the data order, what for) and on nothing else: one
process or many, whole batches or parts of them train the same model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sdmodel import philox
from sdmodel.condition import Condition, ConditionValues


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
    seed: int = 0
    """Of what is drawn for the rows."""
    images_seen: int = 0
    """Images before the global batch: its own place in the data order."""
    text: Condition | None = None
    """The captions' cached states, B of them, after `to` in float32; None where the stream has none."""
    features: Tensor | None = None
    """(B, F, h, w): cached feature maps that an image encoder has of the pictures, after `to` in float32;
    None where the stream has none."""
    augmented: Tensor | None = None
    """(B, 9) float32: how each picture was moved, see geometry.py, 0 is not at all; None where none ever
    is."""
    conditions: Mapping[str, ConditionValues] = field(default_factory=dict[str, ConditionValues])
    """What is known of the rows beside their captions, by the condition's name."""

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
            features=None if self.features is None else moved(self.features).float(),
            augmented=None if self.augmented is None else moved(self.augmented),
            conditions={name: values.to(device) for name, values in self.conditions.items()},
        )

    def pinned(self) -> "Batch":
        """The same in pinned (page-locked) memory, from which a GPU copies while the CPU goes on; there must
        be one."""
        return replace(
            self,
            images=self.images.pin_memory(),
            index=self.index.pin_memory(),
            text=self.text.pinned() if self.text else None,
            features=None if self.features is None else self.features.pin_memory(),
            augmented=None if self.augmented is None else self.augmented.pin_memory(),
            conditions={name: values.pinned() for name, values in self.conditions.items()},
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
            features=None if self.features is None else self.features[begin:end],
            augmented=None if self.augmented is None else self.augmented[begin:end],
            conditions={name: values.rows(begin, end) for name, values in self.conditions.items()},
        )

    def normal(self, stream: str, *shape: int) -> Tensor:
        """(B, *shape) float32 standard normal; the draws of each `stream` are its own."""
        return philox.normal(self.seed, self.index, stream, *shape)

    def uniform(self, stream: str, *shape: int) -> Tensor:
        """(B, *shape) float32 uniform on [0, 1)."""
        return philox.uniform(self.seed, self.index, stream, *shape)

    def stratified(self, stream: str) -> Tensor:
        """(B,) float32 on [0, 1): in the global batch one in each of `size` equal strata, shuffled."""
        everyone = self.images_seen + torch.arange(self.size, device=self.index.device)
        order = philox.words(self.seed, everyone, f"{stream} order", 1)[0][:, 0].argsort(stable=True)
        strata = order[self.start : self.start + len(self)]
        below_one = 1 - 2.0**-24  # which the sum may be rounded to, in the last stratum
        return ((strata + self.uniform(stream)) / self.size).clamp(max=below_one)
