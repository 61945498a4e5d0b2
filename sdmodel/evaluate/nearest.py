"""The nearest training image of a sample: whether it was drawn or remembered (memorisation)."""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.inference_mode()
def nearest(samples: Tensor, chunks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """(place of the nearest training image (N,) int64, distance to it (N,) float32) for samples (N, 3, S, S).

    chunks: the training images in order, (M, 3, S, S) each, in the units of the samples. The distance is the
    root mean square difference of the pixels; of equals the first counts. ValueError: there is no training
    image.
    """
    flat = samples.flatten(1).double()
    best = torch.full((len(samples),), torch.inf, dtype=torch.float64)
    place = torch.zeros(len(samples), dtype=torch.int64)
    seen = 0
    for chunk in chunks:
        # Products in double: |a|^2 + |b|^2 - 2 a b cancels where images are alike, which is what is asked
        # for.
        other = chunk.flatten(1).double()
        squared = flat.square().sum(1)[:, None] + other.square().sum(1)[None] - 2 * flat @ other.T  # (N, M)
        least, at = squared.min(1)
        closer = least < best
        best, place = torch.where(closer, least, best), torch.where(closer, at + seen, place)
        seen += len(chunk)
    if not seen:
        raise ValueError("no training images were given; there is no nearest of none")
    return place, (best.clamp(min=0) / flat.shape[1]).sqrt().float()
