"""References: a picture, varied so that it tells what a picture shows and not how each pixel is."""

import torch
from torch import Tensor

from sdmodel.config.picture import PictureConfig
from sdmodel.selfsupervised.views import cropped, recoloured

DRAWS = 8
"""Random numbers that a reference is made of."""


def reference(images: Tensor, u: Tensor, config: PictureConfig) -> Tensor:
    """A view of each picture, cropped, mirrored and recoloured as far as `config` says, of the same size.

    images: (B, 3, H, W) float32 in [-1, 1]. u: (B, DRAWS) uniform on [0, 1), what it is a function of."""
    area, aspect, x, y, flip, *colours = u.unbind(1)
    if not config.mirror:
        flip = torch.ones_like(flip)
    return recoloured(cropped(images, area, aspect, x, y, flip, config.least_area), colours, config.colour)
