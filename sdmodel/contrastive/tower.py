"""The image towers: open_clip's ResNet (He et al. 2015, as changed by Radford et al. 2021, arXiv:2103.00020,
section 2.4) and its transformer over patches (Dosovitskiy et al. 2020, arXiv:2010.11929).

Of the two the ResNet learns small pictures faster: on 12,000 pictures of the demo world a transformer with
patches of 4 never saw the backgrounds' patterns. Its batch norm takes each process's rows for themselves.
"""

from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import nn

from sdmodel.config.train import TrainConfig

ADAMW_LAYERS = ("conv1", "attnpool.c_proj")
"""Of either tower, what makes its first features of pixels, and what makes embeddings (the transformer has a
bare matrix for that). See sdmodel/train/optim/roles.py."""
HEADS = {"resnet": 8, "vit": 4}
"""Attention heads: that pool the ResNet's last stage, and of the transformer's blocks."""


def vision_config(config: TrainConfig) -> dict[str, Any]:
    """open_clip's own description of the tower."""
    clip = config.contrastive
    if clip.tower == "vit":
        return {
            "image_size": config.size,
            "patch_size": clip.patch,
            "layers": 4 * clip.image_blocks,
            "width": 8 * clip.image_width,
            "head_width": 8 * clip.image_width // HEADS["vit"],
        }
    return {
        "image_size": config.size,
        "layers": [clip.image_blocks] * 4,
        "width": clip.image_width,
        "head_width": 32 * clip.image_width // HEADS["resnet"],
    }


def build(config: TrainConfig) -> nn.Module:
    """(B, 3, S, S) in [-1, 1] to (B, config.contrastive.embedding), weights from torch's global generator."""
    described = vision_config(config)
    shared: dict[str, Any] = {
        "image_size": described["image_size"],
        "layers": described["layers"],
        "width": described["width"],
        "heads": HEADS[config.contrastive.tower],
        "output_dim": config.contrastive.embedding,
    }
    if config.contrastive.tower == "resnet":
        return ModifiedResNet(**shared)
    return VisionTransformer(**shared, patch_size=described["patch_size"], mlp_ratio=4.0)
