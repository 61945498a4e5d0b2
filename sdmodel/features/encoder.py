"""A frozen image encoder: pictures to features of mean 0 and variance 1."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.selfsupervised import encoder as trained

ENCODER = "encoder"
"""Folder of the image encoder, in a model folder."""
CONFIG = "config.json"


@dataclass(frozen=True)
class Features:
    """Of B pictures."""

    pooled: Tensor
    """(B, F)."""
    maps: list[Tensor]
    """(B, C_i, h_i, w_i) each, the finest first."""


class FrozenImageEncoder:
    """`ImageEncoder` without gradients, and no module: nobody learns, averages or saves its weights.

    Features are brought to mean 0 and variance 1 over their channels, as Li et al. 2023, arXiv:2312.03701,
    have theirs: whatever the encoder's scale, what reads them learns at the same rate, and noise of unit
    variance is as large as they are. The encoder goes where the pictures are.
    """

    def __init__(
        self, encoder: trained.ImageEncoder, folder: Path | None = None, *, noised: bool = False
    ) -> None:
        """folder: that it came from. noised: it has learned from noisy pictures, too."""
        self.encoder, self.folder, self.noised = encoder.eval().requires_grad_(False), folder, noised
        self.device = torch.device("cpu")
        self.to(next(encoder.parameters()).device)

    def to(self, device: torch.device) -> Self:
        """Itself, there."""
        if device != self.device:
            self.encoder.to(device)
            self.device = device
        return self

    def save(self, folder: Path) -> None:
        """Writes what it is loaded from into `folder`, which is made. It came from a folder itself."""
        assert self.folder is not None
        folder.mkdir()
        for name in (trained.WEIGHTS, CONFIG):
            shutil.copyfile(self.folder / name, folder / name)

    def equals(self, other: Self) -> bool:
        """Whether it has the same weights."""
        mine, theirs = self.encoder.state_dict(), other.encoder.state_dict()
        return mine.keys() == theirs.keys() and all(
            mine[name].shape == theirs[name].shape and torch.equal(mine[name].cpu(), theirs[name].cpu())
            for name in mine
        )

    @property
    def width(self) -> int:
        """F, channels of pooled features."""
        return self.encoder.width

    def map_widths(self, size: int) -> list[int]:
        """C_i of `Features.maps` of pictures of so many pixels to a side."""
        return [maps.shape[1] for maps in self.features(torch.zeros(1, 3, size, size)).maps]

    @torch.no_grad()
    def pooled(self, images: Tensor) -> Tensor:
        """(B, F) float32 of pictures (B, 3, H, W) float32 in [-1, 1], on their device."""
        features: Tensor = self.to(images.device).encoder(images)
        return _normalised(features.float())

    @torch.no_grad()
    def features(self, images: Tensor) -> Features:
        """Of pictures (B, 3, H, W) float32 in [-1, 1], in one pass: maps, normalised place by place, and the
        mean over the coarsest of them as pooled features."""
        maps = [each.float() for each in self.to(images.device).encoder.maps(images)]
        return Features(_normalised(maps[-1].mean((2, 3))), [_normalised(each) for each in maps])


def load_image_encoder(folder: Path) -> FrozenImageEncoder:
    """The frozen image encoder in a folder, on the CPU. ValueError: see `sdmodel.selfsupervised.encoder`."""
    noised = trained.read_config(folder).noised > 0
    return FrozenImageEncoder(trained.load(folder), folder, noised=noised)


def _normalised(features: Tensor) -> Tensor:
    """(B, C, ...) with mean 0 and variance 1 over C."""
    last = features.movedim(1, -1)
    return F.layer_norm(last, last.shape[-1:]).movedim(-1, 1)
