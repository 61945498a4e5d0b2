"""PatchGAN: a discriminator that judges patches of a picture, not the whole (Isola et al. 2016,
arXiv:1611.07004, section 3.2)."""

import math
from itertools import pairwise

from torch import Tensor, nn

from sdmodel.config.adversary import PatchAdversaryConfig


class PatchDiscriminator(nn.Module):
    """Convolutions of 4 x 4, of which the first `layers` halve the sides, and leaky ReLUs.

    Where the paper normalises over a batch, groups of channels of one picture are normalised: a row's logits
    depend on that row alone, so that one process or many, whole batches or parts, teach the same."""

    def __init__(self, config: PatchAdversaryConfig):
        super().__init__()
        widths = [config.channels * min(2**layer, 8) for layer in range(config.layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for number, (narrow, wide) in enumerate(pairwise(widths), 1):
            stride = 2 if number < config.layers else 1
            layers += [
                nn.Conv2d(narrow, wide, 4, stride=stride, padding=1),
                nn.GroupNorm(math.gcd(wide, 8), wide),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1, h, w) float32, one for each patch, of pictures (B, 3, H, W) in [-1, 1]."""
        return self.layers(images).float()
