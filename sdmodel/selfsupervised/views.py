"""Views of a picture: cropped, mirrored, recoloured (Chen et al. 2020, arXiv:2002.05709, appendix A)."""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.data.colour import LUMA

DRAWS = 8
"""Random numbers that a view is made of."""
ASPECT = 4 / 3
"""Largest ratio of the sides of what a view shows, in sides of the picture."""


def view(images: Tensor, u: Tensor, config: SelfSupervisedConfig) -> Tensor:
    """One view of each picture, of the same size and layout.

    images: (B, 3, H, W) float32 in [-1, 1]. u: (B, DRAWS) uniform on [0, 1), what the views are a function
    of."""
    area, aspect, x, y, flip, *colours = u.unbind(1)
    return recoloured(cropped(images, area, aspect, x, y, flip, config.least_area), colours, config.colour)


def cropped(
    images: Tensor, area: Tensor, aspect: Tensor, x: Tensor, y: Tensor, flip: Tensor, least: float
) -> Tensor:
    """A part of each picture, `least` of its area or more, at its full size, half of them mirrored.

    What a draw of area and aspect makes wider or higher than the picture is cut to it."""
    part = least + (1 - least) * area
    ratio = ((2 * aspect - 1) * math.log(ASPECT)).exp()
    width, height = (part * ratio).sqrt().clamp(max=1), (part / ratio).sqrt().clamp(max=1)
    mirror = torch.where(flip < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(width)
    # Rows of (B, 2, 3): where a view's places lie in the picture, whose sides span [-1, 1].
    theta = torch.stack(
        [
            torch.stack([mirror * width, zero, (2 * x - 1) * (1 - width)], 1),
            torch.stack([zero, height, (2 * y - 1) * (1 - height)], 1),
        ],
        1,
    )
    # Under autocast the grid would be bf16: places rounded to half pixels of a picture of 256.
    with torch.autocast(images.device.type, enabled=False):
        grid = F.affine_grid(theta.float(), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def recoloured(images: Tensor, u: list[Tensor], strength: float) -> Tensor:
    """Brightness, contrast and saturation times factors in [1 - strength, 1 + strength], clipped.

    Like `sdmodel.data.colour.recolour`, but clipped at the end alone and without waiting for a GPU."""
    brightness, contrast, saturation = (
        (1 + strength * (2 * draw - 1))[:, None, None, None] for draw in u
    )  # (B, 1, 1, 1)
    pixels = (images + 1) / 2 * brightness
    middle = luma(pixels).mean((2, 3), keepdim=True)
    pixels = middle + contrast * (pixels - middle)
    grey = luma(pixels)
    pixels = grey + saturation * (pixels - grey)
    return pixels.clamp(0, 1) * 2 - 1


def luma(pixels: Tensor) -> Tensor:
    """(B, 1, H, W) brightness of (B, 3, H, W)."""
    return (pixels * _weights(pixels.device)).sum(1, keepdim=True)


@functools.cache  # of every step: a GPU would be waited for each time
def _weights(device: torch.device) -> Tensor:
    return torch.tensor(LUMA, device=device)[:, None, None]  # (3, 1, 1)
