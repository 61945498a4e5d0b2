"""The towers of image encoders: ResNets and a transformer over patches.

The ResNets normalise groups of channels (Wu and He 2018, arXiv:1803.08494) and not batches: a picture's
features depend on it alone, so that one process or many train the same encoder, averaged weights need no
statistics of their own, and views cannot tell each other by the batch they share.
"""

import functools
from typing import Any

from timm.layers.norm import GroupNorm
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.selfsupervised.patch_transformer import PatchTransformer

Tower = ResNet | PatchTransformer
RESNET18 = (64, 128, 256, 512)
"""Channels of its stages."""
SHAPE = {"resnet": ("width", "blocks"), "resnet18": (), "vit": ("vit",)}
"""What of the config decides the shapes of a tower's weights."""


def width(config: SelfSupervisedConfig) -> int:
    """Channels of the features."""
    return {"resnet": 32 * config.width, "resnet18": RESNET18[-1], "vit": config.vit.width}[config.tower]


def build(config: SelfSupervisedConfig) -> Tower:
    """(B, 3, H, W) in [-1, 1] of any size to (B, width(config)) features, weights drawn from torch's global
    generator."""
    if config.tower == "vit":
        return PatchTransformer(config.vit)
    tower = _resnet18() if config.tower == "resnet18" else _resnet(config)
    # What its first features of pixels are made by: see sdmodel/train/optim/roles.py.
    first: Any = ("conv1",) if config.tower == "resnet18" else ("conv1.0",)
    tower.adamw_layers = first
    return tower


def maps(tower: Tower, images: Tensor) -> list[Tensor]:
    """Feature maps (B, C_i, h_i, w_i), the finest first; the last is what the features are the mean of."""
    if isinstance(tower, PatchTransformer):
        return tower.maps(images)
    resnet: Any = tower  # timm's annotations have several results in one
    return resnet.forward_intermediates(images, intermediates_only=True)


def heavy(tower: Tower) -> list[nn.Module]:
    """Parts where the time is spent, each called whole: see `Objective.heavy`."""
    return list(tower.blocks) if isinstance(tower, PatchTransformer) else [tower]


def _resnet(config: SelfSupervisedConfig) -> ResNet:
    """Of bottlenecks. Its stem is that of ResNet-D (He et al. 2018, arXiv:1812.01187)."""
    return ResNet(
        Bottleneck,  # pyright: ignore - the class is meant
        (config.blocks,) * 4,
        num_classes=0,
        stem_type="deep",
        stem_width=config.width // 2,
        channels=tuple(config.width * 2**stage for stage in range(4)),
        norm_layer=functools.partial(GroupNorm, num_groups=config.width // 2),  # pyright: ignore
    )


def _resnet18() -> ResNet:
    """ResNet-18 (He et al. 2015, arXiv:1512.03385, table 1), with the stem that SimCLR takes for small
    pictures: a convolution of 3 x 3 that keeps the sides, and no pooling (Chen et al. 2020, appendix B.9)."""
    tower = ResNet(
        BasicBlock,  # pyright: ignore - the class is meant
        (2, 2, 2, 2),
        num_classes=0,
        channels=RESNET18,
        norm_layer=GroupNorm,  # pyright: ignore - of 32 groups
    )
    tower.conv1 = nn.Conv2d(3, RESNET18[0], 3, padding=1, bias=False)
    nn.init.kaiming_normal_(tower.conv1.weight, mode="fan_out", nonlinearity="relu")
    tower.maxpool = nn.Identity()
    return tower
