"""The contrastive loss over the global batch, of whatever made the vectors: foils drawn for this process's
rows, vectors gathered from all processes."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.contrastive.foils import Foils
from sdmodel.contrastive.gather import gather
from sdmodel.contrastive.loss import contrastive_loss, own_cosines
from sdmodel.data.batch import Batch

FIRST_SCALE = 1 / 0.07
"""Of CLIP, at first."""
BASE = 6364136223846793005
"""Odd, so that its powers never come to 0: Knuth's multiplier of 64 bits."""
MAX_SCALE = 100.0
"""Largest factor on cosines, as in CLIP: beyond it training becomes unstable."""


def foils_of(batch: Batch, foils: Foils, count: int) -> list[str]:
    """B * count captions, each caption's foils in a row; they depend on the seed and the row alone."""
    return [
        foil
        for row, caption in enumerate(batch.captions)
        for foil in foils.of(caption, count, (batch.seed, batch.images_seen + batch.start + row))
    ]


def factor(log_scale: Tensor) -> Tensor:
    """The factor on cosines from what is learned, a float32 scalar."""
    return log_scale.clamp(max=math.log(MAX_SCALE)).exp()


def directions(vectors: Tensor) -> Tensor:
    """(..., D) float32 of length 1."""
    return F.normalize(vectors.float(), dim=-1)


def same_captions(ids: Tensor) -> Tensor:
    """(B, B) bool: which captions are equal, of ids (B, ...).

    By hashes of 64 bits: all ids of all pairs would take gigabytes for batches of thousands. Products and
    sums of int64 wrap around."""
    flat = ids.flatten(1) + 1
    powers = torch.full_like(flat[0], BASE).cumprod(0)
    hashes = (flat * powers).sum(1)
    return hashes[:, None] == hashes[None]


def paired_loss(image: Tensor, text: Tensor, ids: Tensor, scale: Tensor) -> Tensor:
    """The loss over all processes' rows, a float32 scalar, the same for each of them.

    An image's foils are its own negatives; where a caption has none, the foil is the caption itself, which is
    none.

    Args:
        image: (B, D) of length 1.
        text: (B + B * K, D) of length 1: captions, then each caption's foils.
        ids: (B + B * K, ...) their ids.
        scale: factor on cosines."""
    rows, width = image.shape
    foils = own_cosines(image, text[rows:].view(rows, -1, width)) if len(text) > rows else image[:, :0]
    foil_ids = ids[rows:].view(rows, -1, ids[0].numel())
    none = (foil_ids == ids[:rows].flatten(1)[:, None]).all(-1)  # (B, K)
    absent = gather(none.long()).bool()
    same = same_captions(gather(ids[:rows]))
    return contrastive_loss(gather(image), gather(text[:rows]), scale, same, gather(foils), absent)
