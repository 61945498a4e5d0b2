"""Generator and discriminator of convolutions (DCGAN; Radford et al. 2015, arXiv:1511.06434).

The paper normalises activations over a batch. Here the generator's are normalised over the channels of each
place (pixel norm; Karras et al. 2017, arXiv:1710.10196, section 4.2), and the discriminator's are not: a row
depends on that row alone, so that one process or many, whole batches or parts, teach the same networks,
averaged weights need no statistics of their own, and a penalty on the discriminator's gradient is each
picture's own.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.gan import GanConfig

COARSEST = 4
"""Places to a side of the coarsest level."""
SLOPE = 0.2
"""Of leaky ReLUs below 0."""


class PixelNorm(nn.Module):
    """Activations (B, C, H, W), at each place with a mean square of 1."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float().movedim(1, -1), x.shape[1:2], eps=1e-8).movedim(-1, 1)


def levels(size: int) -> int:
    """Levels between a picture of `size` pixels to a side and the coarsest one. ValueError: there are
    none."""
    count = int(math.log2(size / COARSEST)) if size >= 2 * COARSEST else 0
    if not count or COARSEST * 2**count != size:
        raise ValueError(f"size={size}: must be 8, 16, 32 or a further double")
    return count


def widths(config: GanConfig, size: int) -> list[int]:
    """Channels of each level, finest first."""
    return [config.channels * min(2**level, 8) for level in range(levels(size))]


class Generator(nn.Module):
    """Noise to pictures: each level doubles the sides by a transposed convolution of 4 x 4."""

    adamw_layers = ("first", "layers.*")

    def __init__(self, config: GanConfig, size: int):
        super().__init__()
        coarsest_first = widths(config, size)[::-1]
        self.first = nn.Linear(config.latent, coarsest_first[0] * COARSEST**2)
        layers: list[nn.Module] = [PixelNorm(), nn.ReLU()]
        for wide, narrow in pairwise(coarsest_first):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), PixelNorm(), nn.ReLU()]
        layers += [nn.ConvTranspose2d(coarsest_first[-1], 3, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) float32 in [-1, 1] of noise (B, L)."""
        z = F.rms_norm(z, z.shape[1:])
        return self.layers(self.first(z).unflatten(1, (-1, COARSEST, COARSEST))).float()


class Discriminator(nn.Module):
    """Pictures to a logit, above 0 for real: each level halves the sides by a convolution of 4 x 4."""

    adamw_layers = ("layers.*", "last")

    def __init__(self, config: GanConfig, size: int):
        super().__init__()
        finest_first = widths(config, size)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([3, *finest_first]):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(finest_first[-1] * COARSEST**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B,) float32 of pictures (B, 3, S, S) in [-1, 1]."""
        return self.last(self.layers(images).flatten(1))[:, 0].float()


def gradient_penalty(discriminator: nn.Module, images: Tensor) -> Tensor:
    """E[|grad D(x)|^2] () over pictures (B, 3, H, W), in float32 whatever autocast says; half of it times
    gamma is R1 on real pictures and R2 on generated ones (Mescheder et al. 2018, arXiv:1801.04406, equations
    9 and 10). Gradients go through it to the discriminator's weights."""
    with torch.autocast(images.device.type, enabled=False):
        images = images.float().detach().requires_grad_(True)
        shown = images.view_as(images)  # a module that is watched while FLOPs are counted takes no leaf
        (gradient,) = torch.autograd.grad(discriminator(shown).sum(), images, create_graph=True)
        return gradient.square().flatten(1).sum(1).mean()
