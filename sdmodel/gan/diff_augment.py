"""DiffAugment: changes of pictures, made before a discriminator sees them, through which gradients go to the
generator (Zhao et al. 2020, arXiv:2006.10738). Real and generated pictures are changed alike, so that it is
not the changes that are learned.

What is drawn comes from the batch, as all random numbers of a training do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.data.batch import Batch

SHIFT = 1 / 8
"""Of the side: how far pictures are moved at most."""
HOLE = 1 / 2
"""Of the side: the square that cutout takes away."""


def diff_augment(images: Tensor, kinds: Sequence[str], batch: Batch, stream: str) -> Tensor:
    """Pictures (B, 3, H, W) changed by kinds of "colour", "translation" and "cutout", each row by draws of
    its own.

    stream: what they are drawn for; real and generated pictures have streams of their own."""
    changes = {"colour": colour, "translation": translation, "cutout": cutout}
    for kind in kinds:
        images = changes[kind](images, batch.uniform(f"{stream} {kind}", 3))
    return images


def colour(images: Tensor, u: Tensor) -> Tensor:
    """Brightness moved by up to 0.5 of [-1, 1], saturation by factors up to 2, contrast by factors from a
    half to one and a half; u (B, 3) on [0, 1)."""
    brightness, saturation, contrast = (u[:, i].view(-1, 1, 1, 1) for i in range(3))
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * (2 * saturation) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (contrast + 0.5) + mean


def translation(images: Tensor, u: Tensor) -> Tensor:
    """Moved by whole pixels, up to SHIFT of the side, what comes in is 0; u (B, 3) on [0, 1)."""
    high, wide = images.shape[2:]
    far = (round(high * SHIFT), round(wide * SHIFT))
    down, right = ((u[:, i] * (2 * far[i] + 1)).long() for i in range(2))  # 0 to 2 far
    padded = F.pad(images, (far[1], far[1], far[0], far[0]))
    rows = (torch.arange(high, device=images.device) + down[:, None])[:, :, None]  # (B, H, 1)
    columns = (torch.arange(wide, device=images.device) + right[:, None])[:, None]  # (B, 1, W)
    each = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return padded[each, :, rows, columns].permute(0, 3, 1, 2)  # (B, H, W, C) to (B, C, H, W)


def cutout(images: Tensor, u: Tensor) -> Tensor:
    """A square of HOLE of the side is 0, its centre anywhere; u (B, 3) on [0, 1)."""
    clear: list[Tensor] = []
    for axis, side in enumerate(images.shape[2:]):
        hole = round(side * HOLE)
        centre = (u[:, axis] * (side + 1 - hole % 2)).long()[:, None]
        at = torch.arange(side, device=images.device)
        clear.append((at < centre - hole // 2) | (at >= centre - hole // 2 + hole))
    outside = clear[0][:, :, None] | clear[1][:, None]  # (B, H, W)
    return images * outside[:, None]
