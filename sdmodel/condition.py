"""Conditioning: the encoded captions of the images that a denoiser shall estimate."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """Encoded captions, B of them."""

    pooled: Tensor
    """(B, P): the whole caption as one vector."""
    states: Tensor
    """(B, L, D): one vector a token."""
    mask: Tensor
    """(B, L) bool: true for tokens, false for padding."""

    def joined(self, other: "Condition") -> "Condition":
        """These captions, then the others'; both padded to the same length."""
        return Condition(
            torch.cat([self.pooled, other.pooled]),
            torch.cat([self.states, other.states]),
            torch.cat([self.mask, other.mask]),
        )

    def rows(self, start: int, end: int) -> "Condition":
        """Captions `start` to `end`."""
        return Condition(self.pooled[start:end], self.states[start:end], self.mask[start:end])

    def replaced(self, where: Tensor, other: "Condition") -> "Condition":
        """These captions, but the one that `other` has where `where` (B,) bool is true; as many tokens."""

        def chosen(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(where.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)

        return Condition(
            chosen(self.pooled, other.pooled),
            chosen(self.states, other.states),
            chosen(self.mask, other.mask),
        )

    def to(self, device: torch.device) -> "Condition":
        """The same on `device`, in float32: half precision is widened there, so that less is copied."""
        return Condition(
            self.pooled.to(device, non_blocking=True).float(),
            self.states.to(device, non_blocking=True).float(),
            self.mask.to(device, non_blocking=True),
        )

    def pinned(self) -> "Condition":
        """The same in pinned memory, from which a GPU copies while the CPU goes on."""
        return Condition(self.pooled.pin_memory(), self.states.pin_memory(), self.mask.pin_memory())
