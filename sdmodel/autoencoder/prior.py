"""New pictures from an autoencoder alone: latents are drawn from a prior and decoded."""

from collections.abc import Sequence

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


def decoded(model: FrozenAutoencoder, latents: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) float32 in [-1, 1] on the CPU of latents (B, C, h, w)."""
    pictures = [model.decode(part).clamp(-1, 1).cpu() for part in latents.split(CHUNK)]
    return torch.cat(pictures)
