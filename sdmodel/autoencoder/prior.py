"""New pictures from an autoencoder alone: latents are drawn from a prior and decoded."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sdmodel import philox
from sdmodel.latents.autoencoder import FrozenAutoencoder

STREAM = "prior"
CHUNK = 64
"""Pictures that are decoded at once: bounds memory."""


def standard_latents(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """(B, C, h, w) float32 standard normal, one for each seed: what a variational autoencoder's prior is."""
    return philox.normal(0, torch.tensor(list(seeds)), STREAM, *shape)


def fitted_latents(seeds: Sequence[int], latents: Tensor) -> Tensor:
    """(B, C, h, w) float32, one for each seed, of the Gaussian that has mean and covariance of `latents`
    (N, C, h, w), N at least 2.

    A draw is the mean, and the deviations from it weighed by N standard normal numbers over sqrt(N - 1): its
    covariance is the sample's, without a matrix of that size."""
    rows = len(latents)
    mean = latents.mean(0)
    weights = philox.normal(0, torch.tensor(list(seeds)), STREAM, rows) / (rows - 1) ** 0.5
    return mean + torch.einsum("bn,nchw->bchw", weights, latents - mean)


class PriorSampler:
    """An autoencoder that draws pictures of latents from a prior."""

    def __init__(self, model: FrozenAutoencoder, pictures: Tensor, *, fitted: bool):
        """Args:
        model: the autoencoder.
        pictures: (N, 3, H, W) float32 in [-1, 1], N at least 2, that latents are of.
        fitted: whether they are drawn from a Gaussian that is fitted to those of `pictures`; else from the
            standard normal.
        """
        self.model = model
        self.latents = model.moments(pictures).chunk(2, dim=1)[0]  # (N, C, h, w)
        self.fitted = fitted

    def sample(self, captions: list[str], seeds: list[int], sampling: Any = None) -> Tensor:
        """Pictures (B, 3, H, W) float32 in [-1, 1] on the CPU, each of its seed alone. captions: one for each
        seed, not read. sampling: there are no steps to choose; not read."""
        if self.fitted:
            drawn = fitted_latents(seeds, self.latents)
        else:
            _, channels, high, wide = self.latents.shape
            drawn = standard_latents(seeds, (channels, high, wide))
        return torch.cat([self.model.decode(part).clamp(-1, 1).cpu() for part in drawn.split(CHUNK)])
