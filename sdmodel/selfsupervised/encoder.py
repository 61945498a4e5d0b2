"""The image encoder: a ResNet, its folder, and the features that others use it for.

It normalises groups of channels (Wu and He 2018, arXiv:1803.08494) and not batches: a picture's features
depend on it alone, so that one process or many train the same encoder, averaged weights need no statistics of
their own, and views cannot tell each other by the batch they share.
"""

import functools
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.layers.norm import GroupNorm
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from sdmodel.config.adapter import adapter_of
from sdmodel.config.model import SelfSupervisedConfig

KIND = "selfsupervised"
WEIGHTS = "encoder.safetensors"


def width(config: SelfSupervisedConfig) -> int:
    """Channels of the features."""
    return 32 * config.width


def build(config: SelfSupervisedConfig) -> ResNet:
    """timm's ResNet, weights drawn from torch's global generator: (B, 3, H, W) in [-1, 1] of any size to
    (B, 32 * width) features. Its stem is that of ResNet-D (He et al. 2018, arXiv:1812.01187)."""
    return ResNet(
        Bottleneck,  # pyright: ignore - the class is meant
        (config.blocks,) * 4,
        num_classes=0,
        stem_type="deep",
        stem_width=config.width // 2,
        channels=tuple(config.width * 2**stage for stage in range(4)),
        norm_layer=functools.partial(GroupNorm, num_groups=config.width // 2),  # pyright: ignore
    )


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


class ImageEncoder(nn.Module):
    """A trained image encoder as evaluation, perceptual losses, alignment and guidance use it: frozen, in
    evaluation mode. Gradients reach the pictures."""

    def __init__(self, tower: ResNet, features: int, size: int):
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
        tower: Any = self.tower  # timm's annotations have several results in one
        return tower.forward_intermediates(images, norm=True, intermediates_only=True)


def load(folder: Path) -> ImageEncoder:
    """The encoder that a training wrote. ValueError: see `read_model`."""
    config = read_config(folder)
    with torch.device("meta"):
        encoder = build(config)
    encoder.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    return ImageEncoder(encoder, width(config), read_model(folder)["size"])
