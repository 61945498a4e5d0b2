"""Conditioning: what a denoiser is told of the images that it shall estimate, encoded captions and what
stands beside them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """Encoded captions, B of them, and what a denoiser is told besides."""

    pooled: Tensor
    """(B, P): the whole caption as one vector, then the vectors of what stands beside it."""
    states: Tensor
    """(B, L, D): one vector a token; what stands beside captions may be tokens too."""
    mask: Tensor
    """(B, L) bool: true for tokens, false for padding."""
    channels: Tensor | None = None
    """(B, C, h, w): what is said of each place, concatenated beside x_t; of any sides, since a denoiser
    resizes it to x_t's. None: nothing is."""

    def joined(self, other: "Condition") -> "Condition":
        """These captions, then the others'; both padded to the same length, both with channels or none."""
        return self._paired(other, lambda mine, theirs: torch.cat([mine, theirs]))

    def rows(self, start: int, end: int) -> "Condition":
        """Captions `start` to `end`."""
        return self._each(lambda tensor: tensor[start:end])

    def replaced(self, where: Tensor, other: "Condition") -> "Condition":
        """These captions, but the one that `other` has where `where` (B,) bool is true; as many tokens."""

        def chosen(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(where.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)

        return self._paired(other, chosen)

    def to(self, device: torch.device) -> "Condition":
        """The same on `device`, in float32: half precision is widened there, so that less is copied."""

        def moved(tensor: Tensor) -> Tensor:
            there = tensor.to(device, non_blocking=True)
            return there if there.dtype == torch.bool else there.float()

        return self._each(moved)

    def pinned(self) -> "Condition":
        """The same in pinned memory, from which a GPU copies while the CPU goes on."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        channels = None if self.channels is None else change(self.channels)
        return Condition(change(self.pooled), change(self.states), change(self.mask), channels)

    def _paired(self, other: "Condition", change: Callable[[Tensor, Tensor], Tensor]) -> "Condition":
        assert (self.channels is None) == (other.channels is None)
        channels = None
        if self.channels is not None and other.channels is not None:
            channels = change(self.channels, other.channels)
        return Condition(
            change(self.pooled, other.pooled),
            change(self.states, other.states),
            change(self.mask, other.mask),
            channels,
        )


@dataclass(frozen=True)
class ConditionValues:
    """What is known of B rows in one respect, for some of them: a condition beside the caption, before it is
    embedded."""

    values: Tensor
    """(B, ...): what they are, the condition itself says; anything where nothing is known."""
    present: Tensor
    """(B,) bool: of which rows it is known."""

    def rows(self, start: int, end: int) -> "ConditionValues":
        """Rows `start` to `end`."""
        return ConditionValues(self.values[start:end], self.present[start:end])

    def at(self, places: Tensor) -> "ConditionValues":
        """The rows at places (N,) int64."""
        return ConditionValues(self.values[places], self.present[places])

    def without(self, dropped: Tensor) -> "ConditionValues":
        """As if it were not known where `dropped` (B,) bool is true."""
        return ConditionValues(self.values, self.present & ~dropped)

    def to(self, device: torch.device) -> "ConditionValues":
        """The same on `device`."""
        return ConditionValues(
            self.values.to(device, non_blocking=True), self.present.to(device, non_blocking=True)
        )

    def pinned(self) -> "ConditionValues":
        """The same in pinned memory, from which a GPU copies while the CPU goes on."""
        return ConditionValues(self.values.pin_memory(), self.present.pin_memory())
