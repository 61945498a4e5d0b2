"""A trained image encoder: its folder, and the features that others use it for."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sdmodel.config.adapter import adapter_of
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.selfsupervised.tower import Tower, build, maps, width

KIND = "selfsupervised"
WEIGHTS = "encoder.safetensors"


class ImageEncoder(nn.Module):
    """A trained image encoder as evaluation, perceptual losses, alignment and guidance use it: frozen, in
    evaluation mode. Gradients reach the pictures."""

    def __init__(self, tower: Tower, features: int, size: int):
        """tower: as `build` makes it. features: what `width` says. size: pixels to a side of the pictures
        that it has learned from; others are seen too."""
        super().__init__()
        self.tower, self.width, self.size = tower, features, size
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "ImageEncoder":
        """It stays in evaluation mode, whatever the model around it is in."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, F) float32 pooled features, F = `width`, of pictures (B, 3, H, W) float32 in [-1, 1]."""
        return self.tower(images)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps (B, C_i, h_i, w_i) float32, the finest first; the last has F channels."""
        return maps(self.tower, images)


def read_config(folder: Path) -> SelfSupervisedConfig:
    """The config of a folder's encoder. ValueError: see `read_model`."""
    return adapter_of(SelfSupervisedConfig).validate_python(read_model(folder)["selfsupervised"])


def read_model(folder: Path) -> dict[str, Any]:
    """What a folder says of its encoder: {"size": pixels to a side, "selfsupervised": its config}.

    ValueError: no such folder, or another kind of model."""
    file = folder / "config.json"
    saved = json.loads(file.read_text()) if file.is_file() else {}
    if saved.get("kind") != KIND:
        raise ValueError(
            f"{folder}: holds no model of kind {KIND!r}, which a training of that objective writes"
        )
    return saved["model"]


def load(folder: Path) -> ImageEncoder:
    """The encoder that a training wrote. ValueError: see `read_model`."""
    config = read_config(folder)
    with torch.device("meta"):
        encoder = build(config)
    encoder.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    return ImageEncoder(encoder, width(config), read_model(folder)["size"])
