"""Generator and discriminator with residual convolutions of 3 x 3 beside the resampling ones of 4 x 4 (He et
al. 2015, arXiv:1512.03385), and a generator whose levels all hear the noise: a small network makes a style of
it, which scales and shifts what each level has normalised (FiLM; Perez et al. 2017, arXiv:1709.07871; as the
styles of Karras et al. 2018, arXiv:1812.04948, section 2). A row depends on that row alone, as in
networks.py.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.gan import GanConfig
from sdmodel.gan.networks import COARSEST, SLOPE, PixelNorm, widths

STYLE = 128
"""Numbers that the noise's network makes of it."""


class StyledLevel(nn.Module):
    """One level of the generator: resampled, normalised, styled, and refined."""

    def __init__(self, resample: nn.Module, width: int, refined: bool):
        super().__init__()
        self.resample = resample
        self.norm = PixelNorm()
        self.style = nn.Linear(STYLE, 2 * width)
        self.refine = nn.Conv2d(width, width, 3, padding=1) if refined else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, W, h, w) of what the level before gave and styles (B, STYLE)."""
        scale, shift = self.style(style).float()[:, :, None, None].chunk(2, 1)
        x = F.relu(self.norm(self.resample(x)) * (1 + scale) + shift)
        return x if self.refine is None else x + F.leaky_relu(self.refine(x), SLOPE)


class ResidualGenerator(nn.Module):
    """Noise to pictures."""

    adamw_layers = ("first", "styles.*", "levels.*", "last")

    def __init__(self, config: GanConfig, size: int):
        super().__init__()
        coarsest_first = widths(config, size)[::-1]
        self.styles = nn.Sequential(
            nn.Linear(config.latent, STYLE), nn.LeakyReLU(SLOPE), nn.Linear(STYLE, STYLE), nn.LeakyReLU(SLOPE)
        )
        self.first = nn.Linear(config.latent, coarsest_first[0] * COARSEST**2)
        levels = [StyledLevel(nn.Identity(), coarsest_first[0], refined=True)]
        finest = max(1, config.channels // 2)
        for wide, narrow in pairwise([*coarsest_first, finest]):
            doubled = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1)
            # Most of the cost is where the picture has its full size.
            levels.append(StyledLevel(doubled, narrow, refined=narrow is not finest))
        self.levels = nn.ModuleList(levels)
        self.last = nn.Conv2d(finest, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) float32 in [-1, 1] of noise (B, L)."""
        z = F.rms_norm(z, z.shape[1:])
        style = self.styles(z)
        x = self.first(z).unflatten(1, (-1, COARSEST, COARSEST)).contiguous(memory_format=torch.channels_last)
        for level in self.levels:
            x = level(x, style)
        return torch.tanh(self.last(x).float())


class ResidualDiscriminator(nn.Module):
    """Pictures to a logit, above 0 for real."""

    adamw_layers = ("halved.*", "refined.*", "last")

    def __init__(self, config: GanConfig, size: int):
        super().__init__()
        finest_first = widths(config, size)
        self.halved = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1) for narrow, wide in pairwise([3, *finest_first])
        )
        self.refined = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in finest_first)
        self.last = nn.Linear(finest_first[-1] * COARSEST**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B,) float32 of pictures (B, 3, S, S) in [-1, 1]."""
        x = images
        for halve, refine in zip(self.halved, self.refined, strict=True):
            x = F.leaky_relu(halve(x), SLOPE)
            x = x + F.leaky_relu(refine(x), SLOPE)
        return self.last(x.flatten(1))[:, 0].float()
