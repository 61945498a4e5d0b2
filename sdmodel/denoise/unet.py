"""A small convolutional UNet, shaped for speed on a CPU.

On a CPU a full 3 x 3 convolution costs nine times a 1 x 1, and a depthwise one nearly nothing (oneDNN,
float32, channels last: 4.1, 0.7 and 0.4 ms forward and backward for 32 images of 32 x 16 x 16), so blocks mix
space depthwise and channels by 1 x 1. Patches come first; a light head at full resolution, which sees the
noisy pixels again, draws the outlines.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.condition import Condition
from sdmodel.config.model import UNetConfig
from sdmodel.denoise.attention import JointAttention
from sdmodel.denoise.augmentation_condition import AugmentationCondition
from sdmodel.denoise.block import ChannelNorm, ConvNeXtBlock
from sdmodel.denoise.concatenation import concatenated, widened
from sdmodel.denoise.taps import Tapped
from sdmodel.denoise.time import FEATURES, time_features
from sdmodel.noise.interpolation import SIGMA_DATA, unit_scale
from sdmodel.row_dropout import linear_depth

FINE = 16
"""Channels of the head at full resolution."""


class UNet(nn.Module):
    """What is predicted of a noisy image, given its time and its caption.

    It suits the clean image best. Adding a scaled copy of its input (Karras et al. 2022, equation 7) was
    measured to be worse at every noise level: a net this small cannot carry all the noise to its end in order
    to take it away.
    """

    adamw_layers = ("time", "stem", "out")

    def __init__(
        self,
        config: UNetConfig,
        size: int,
        pooled_width: int,
        token_width: int,
        *,
        channels: int = 3,
        deviation: float = SIGMA_DATA,
        augment: bool = False,
        beside: int = 0,
    ) -> None:
        """Args:
        config: widths and depths.
        size: side S of square arrays whose places have a learned position each; arrays of other sides see
            the same maps, resized.
        pooled_width: P of `Condition`.
        token_width: D of `Condition`.
        channels: C of the arrays.
        deviation: standard deviation that the clean arrays are taken to have.
        augment: whether how pictures were moved is a condition.
        beside: channels of `Condition.channels`, which are concatenated with the arrays.
        """
        super().__init__()
        widths, patch, width = config.channels, config.patch, config.condition
        sides = _sides(size, patch, len(widths))
        self.size, self.multiple, self.patch, self.deviation = size, config.multiple, patch, deviation
        self.beside = beside

        # The condition of every block: the time and the whole caption.
        self.time = nn.Linear(FEATURES, width)
        self.caption = nn.Linear(pooled_width, width)
        self.condition = nn.Linear(width, width)

        # Down, through the middle, up.
        self.stem = widened(nn.Conv2d(channels * patch**2, widths[0], 3, padding=1), beside * patch**2)
        self.maps = nn.ParameterList(
            torch.randn(1, c, side, side) * 0.1 for c, side in zip(widths, sides, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(c, d, 2, stride=2) for c, d in itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(d, c, 2, stride=2) for c, d in itertools.pairwise(widths))
        self.skip = nn.ModuleList(nn.Conv2d(2 * c, c, 1) for c in widths[:-1])
        self.encoder, self.decoder = (
            nn.ModuleList(
                nn.ModuleList(ConvNeXtBlock(c, width, config.dropout) for _ in range(config.blocks))
                for c in widths
            )
            for _ in range(2)
        )
        self.middle = ConvNeXtBlock(widths[-1], width, config.dropout)
        self.depths = linear_depth(config.stochastic_depth, 2 * len(widths) * config.blocks + 1)
        self.attention = JointAttention(widths[-1], token_width, config.heads)
        self.layout = nn.Sequential(nn.Linear(width, 64), nn.Linear(64, widths[-1] * sides[-1] ** 2))

        # Back to pixels.
        self.norm = ChannelNorm(widths[0])
        self.pixels = nn.Conv2d(widths[0], config.fine * patch**2, 1)
        self.fine = widened(nn.Conv2d(config.fine + channels, FINE, 3, padding=1), beside)
        self.out = nn.Conv2d(FINE, channels, 3, padding=1)  # zeros: untrained, it predicts grey
        nn.init.zeros_(self.out.weight)
        self.augmentation = AugmentationCondition(width) if augment else None
        self.to(memory_format=torch.channels_last)

    @property
    def tap_widths(self) -> tuple[int, ...]:
        """Channels of what each tap gives."""
        widths = tuple(position.shape[1] for position in self.maps)
        return (*widths, widths[-1])

    @property
    def heavy(self) -> list[nn.Module]:
        """All of it: its parts are too small for one at a time."""
        return [self]

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        condition: Condition,
        augmented: Tensor | None = None,
        *,
        taps: tuple[int, ...] = (),
        trunk: bool = False,
    ) -> Tensor | Tapped:
        """(B, C, H, W) at times t (B,) to the prediction (B, C, H, W), float32.

        augmented: (B, 9), how the pictures were moved; None is not at all.
        taps, trunk: see `sdmodel.denoise.taps`; a level is tapped after its encoder's blocks, and
            the number after the last level is the middle.
        ValueError: H and W are no multiples of the patch on every level."""
        height, width = x_t.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"arrays of {height} x {width} cannot be halved on every level of the unet; sides must be "
                f"multiples of {self.multiple}"
            )
        x = unit_scale(t, self.deviation)[:, None, None, None] * x_t
        x = concatenated(x, condition, self.beside)
        embedding = self.time(time_features(t)) + self.caption(condition.pooled)
        if self.augmentation is not None:
            embedding = self.augmentation(embedding, augmented)
        embedding = F.silu(embedding)
        embedding = F.silu(self.condition(embedding))  # (B, W)
        h = self.stem(F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last))
        last, skips, depths = len(self.maps) - 1, [], iter(self.depths)
        features: list[Tensor] = []
        for level, position in enumerate(self.maps):
            h = h + resized(position, h)
            if level == last:
                side = position.shape[-1]
                layout = self.layout(embedding).view(len(h), side, side, -1).permute(0, 3, 1, 2)
                h = h + resized(layout, h)
            for block in self.encoder[level]:  # pyright: ignore[reportGeneralTypeIssues] - a ModuleList
                h = next(depths)(h, block(h, embedding))
            if level in taps:
                features.append(h)
                if trunk and level == taps[-1]:
                    return None, features
            if level < last:
                skips.append(h)
                h = self.down[level](h)
        h = self.attention(h, condition)
        h = next(depths)(h, self.middle(h, embedding))
        if len(self.maps) in taps:
            features.append(h)
        if trunk:
            return None, features
        for level in range(last, -1, -1):
            if level < last:
                h = self.skip[level](torch.cat([self.up[level](h), skips[level]], 1))
            for block in self.decoder[level]:  # pyright: ignore[reportGeneralTypeIssues] - a ModuleList
                h = next(depths)(h, block(h, embedding))
        h = F.pixel_shuffle(self.pixels(F.silu(self.norm(h))), self.patch)
        predicted = self.out(F.silu(self.fine(torch.cat([h, x], 1)))).float()
        return (predicted, features) if taps else predicted


def resized(maps: Tensor, like: Tensor) -> Tensor:
    """Maps (N, C, S, S) at the height and width of `like`, bilinear: a place keeps what it learned of where
    in the picture it is."""
    height, width = like.shape[-2:]
    side = maps.shape[-1]
    if (height, width) == (side, side):
        return maps
    smaller = height < side or width < side
    return F.interpolate(maps, (height, width), mode="bilinear", antialias=smaller)


def _sides(size: int, patch: int, levels: int) -> list[int]:
    """Sides of each level's maps, the finest first."""
    return [size // patch >> level for level in range(levels)]
