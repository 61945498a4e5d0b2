"""Rotations to be told apart: turned pictures, and the error of what is told (Gidaris et al. 2018,
arXiv:1803.07728)."""

import torch
from torch import Tensor
from torch.nn import functional as F

TURNS = 4
"""By 0, 90, 180 and 270 degrees."""


def turned(images: Tensor) -> Tensor:
    """(4 B, 3, S, S): all pictures (B, 3, S, S), square ones, turned by each angle in turn, as in section 2.2
    all four of a picture are seen together."""
    return torch.cat([images.rot90(turn, (2, 3)) for turn in range(TURNS)])


def rotation_error(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (equation 3) and share that is told right, float32 scalars.

    logits: (4 B, 4), in the order of `turned`."""
    truth = torch.arange(TURNS, device=logits.device).repeat_interleave(len(logits) // TURNS)
    with torch.autocast(logits.device.type, enabled=False):
        error = F.cross_entropy(logits.float(), truth)
    return error, (logits.argmax(1) == truth).float().mean()
