"""The teacher of an alignment: a frozen image encoder, and which of its feature maps is learned from."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.latents.cache import CacheSettings
from sdmodel.selfsupervised.encoder import ImageEncoder, load

LEAST = 4
"""Places to a side that a feature map must have to tell where in a picture something is."""


class FrozenTeacher:
    """Features of clean pictures: of an encoder's maps the deepest that has LEAST places to a side, or the
    finest where none has. It is no part of a model, and learns nothing.

    A ResNet halves the sides five times: of pictures of 32 pixels its last map is a single place."""

    def __init__(self, encoder: ImageEncoder, size: int) -> None:
        """encoder: on the CPU. size: pixels to a side of the smallest pictures, which choose the map."""
        self.encoder, self.device = encoder, torch.device("cpu")
        with torch.no_grad():
            maps = encoder.maps(torch.zeros(1, 3, size, size))
        self.number = max([n for n, some in enumerate(maps) if min(some.shape[2:]) >= LEAST], default=0)
        """Of the map."""
        self.width: int = maps[self.number].shape[1]
        """F, its channels."""

    def to(self, device: torch.device) -> Self:
        """Itself, there."""
        if device != self.device:
            self.encoder.to(device)
            self.device = device
        return self

    @torch.no_grad()
    def maps(self, images: Tensor) -> Tensor:
        """(B, F, h, w) float32 of pictures (B, 3, H, W) float32 in [-1, 1], where these are."""
        return self.to(images.device).encoder.maps(images)[self.number].float()

    def features(self, batch: Batch) -> Tensor:
        """(B, F, h, w) float32 of a batch's pictures."""
        return self.maps(batch.images)


class CachedTeacher:
    """The same features, as the stage encode has written them down; batches bring them."""

    def __init__(self, width: int) -> None:
        """width: F."""
        self.width = width

    def features(self, batch: Batch) -> Tensor:
        """(B, F, h, w) float32 of a batch's pictures."""
        assert batch.features is not None
        return batch.features


Teacher = FrozenTeacher | CachedTeacher
"""What hidden features are aligned with."""


def load_teacher(config: TrainConfig, folder: Path | None, cache: CacheSettings | None) -> Teacher | None:
    """What a training aligns hidden features with; None where it aligns them with no encoder's.

    Args:
        config: of the training.
        folder: of the encoder, which is asked about every batch.
        cache: what is trained on in the place of pictures or captions; features in it stand in the place of
            the encoder.

    Raises:
        ValueError: the encoder is missing, or has nothing to look at.
    """
    if config.alignment.kind != "repa":
        return None
    if cache and cache.feature_width:
        return CachedTeacher(cache.feature_width)
    if cache and cache.space:
        raise ValueError(
            "train.alignment.kind='repa' asks an image encoder about pictures, and a training on latents "
            "sees none; name the encoder in encode.encoder, which caches its features beside the latents"
        )
    if folder is None:
        raise ValueError(
            "train.alignment.kind='repa' needs an image encoder; name a model of objective selfsupervised in "
            "train.encoder or encode.encoder, or take dispersive, which needs none"
        )
    return FrozenTeacher(load(folder), min(size for size, _ in config.stages))
