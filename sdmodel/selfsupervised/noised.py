"""Pictures on their way from noise, as a denoiser sees them: an encoder that has learned from them has
features of x_t, too."""

import torch
from torch import Tensor

from sdmodel.data.batch import Batch
from sdmodel.noise.interpolation import interpolate


def noised(batch: Batch, images: Tensor, share: float, view: int = 0) -> Tensor:
    """Pictures of which a share is x_t at times t of their own, uniform on [0, 1); the others as they are.

    Times, noise, and which they are, are drawn by row.

    Args:
        batch: whose rows they are of.
        images: (B, 3, H, W) float32.
        share: [0, 1].
        view: the number of what is seen of a row: each has draws of its own."""
    if not share:
        return images
    u, t = batch.uniform(f"noised {view}", 2).unbind(1)
    eps = batch.normal(f"noise of view {view}", *images.shape[1:])
    return interpolate(images, eps, torch.where(u < share, t, 1.0))
