"""Perceptual distance: how far two pictures are apart in the feature maps of a frozen network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from sdmodel.autoencoder.lpips import load as load_lpips

EPSILON = 1e-10
"""Added to squared lengths: a place without any feature has direction 0, and a finite gradient."""


class FeatureMaps(Protocol):
    """A frozen network that sees pictures."""

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps (B, C_i, h_i, w_i) float32 of pictures (B, 3, H, W) float32 in [-1, 1]."""
        ...

    def to(self, device: torch.device) -> Any:
        """Moves it there."""
        ...


def distances(
    maps: Sequence[Tensor], others: Sequence[Tensor], weights: Sequence[Tensor] | None = None
) -> Tensor:
    """(B,) float32: at each place of each map the squared difference of both unit vectors of features,
    weighed by channel and added up; the mean over places, summed over maps (Zhang et al. 2018,
    arXiv:1801.03924, equation 1).

    weights: (C_i,) for each map, as w squared in the paper; None: 1."""
    total = torch.zeros((), device=maps[0].device)
    for number, (a, b) in enumerate(zip(maps, others, strict=True)):
        apart = (_directions(a) - _directions(b)).square()  # (B, C, h, w)
        if weights is not None:
            apart = apart * weights[number].view(1, -1, 1, 1)
        total = total + apart.sum(1).mean((1, 2))
    return total


class PerceptualDistance:
    """Distances in the maps of a frozen network. It is no module: it has no weights to learn, average or
    save. Gradients go through it to the pictures."""

    def __init__(self, network: FeatureMaps, weights: Sequence[Tensor] | None = None):
        """weights: see `distances`."""
        self.network, self.weights = network, weights
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """Itself, there."""
        if device != self.device:
            self.network.to(device)
            if self.weights is not None:
                self.weights = [weight.to(device) for weight in self.weights]
            self.device = device
        return self

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """(B,) float32, of two times B pictures (B, 3, H, W) float32 in [-1, 1]; float32 whatever autocast
        says."""
        with torch.autocast(images.device.type, enabled=False):
            maps = self.network.maps(torch.cat([images.float(), others.float()]))
            rows = len(images)
            return distances([m[:rows] for m in maps], [m[rows:] for m in maps], self.weights)


def perceptual_distance(encoder: Path | None, lpips: str = "") -> PerceptualDistance:
    """By LPIPS where its weights are given, else by an image encoder of ours with unit weights.

    encoder: folder of a self-supervised encoder. lpips: folder or file of LPIPS's weights. ValueError:
    neither is given, or holds what it should."""
    if lpips:
        network = load_lpips(Path(lpips))
        return PerceptualDistance(network, network.channel_weights)
    from sdmodel.selfsupervised.encoder import load as load_encoder  # it takes seconds to import

    if encoder is None:
        raise ValueError(
            "train.autoencoder.perceptual needs an image encoder; name a model of objective selfsupervised "
            "in train.encoder, or weights in train.autoencoder.lpips"
        )
    return PerceptualDistance(load_encoder(encoder))


def _directions(features: Tensor) -> Tensor:
    return features * (features.square().sum(1, keepdim=True) + EPSILON).rsqrt()
