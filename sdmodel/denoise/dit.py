"""A diffusion transformer that attends to the caption and takes arrays of any height and width.

DiT (Peebles and Xie 2022, arXiv:2212.09748) with positions that are computed, relative to the picture, so
that one network sees every size and aspect ratio. B has 12 layers of width 768 and 12 heads, XL 28 of 1152
and 16.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.condition import Condition
from sdmodel.config.model import DiTConfig
from sdmodel.denoise.augmentation_condition import AugmentationCondition
from sdmodel.denoise.concatenation import concatenated, widened
from sdmodel.denoise.dit_block import DiTBlock, modulated
from sdmodel.denoise.taps import Tapped
from sdmodel.denoise.time import FEATURES, time_features
from sdmodel.noise.interpolation import SIGMA_DATA, unit_scale
from sdmodel.row_dropout import linear_depth

EXTENT = 16.0
"""Units of position to a side of a square: the tokens of DiT's latents of 256 pixels."""


class DiT(nn.Module):
    """What is predicted of a noisy array, given its time and its caption."""

    adamw_layers = ("time", "words", "stem", "modulation", "out")

    def __init__(
        self,
        config: DiTConfig,
        pooled_width: int,
        token_width: int,
        *,
        channels: int = 3,
        deviation: float = SIGMA_DATA,
        augment: bool = False,
        padded: bool = True,
        beside: int = 0,
    ) -> None:
        """Args:
        config: width, depth and patch.
        pooled_width: P of `Condition`.
        token_width: D of `Condition`.
        channels: C of the arrays.
        deviation: standard deviation that the clean arrays are taken to have.
        augment: whether how pictures were moved is a condition.
        padded: whether captions have tokens that are not to be attended to; attention without a mask is
            faster.
        beside: channels of `Condition.channels`, which are concatenated with the arrays.
        """
        super().__init__()
        width, patch = config.width, config.patch
        self.patch, self.deviation, self.padded = patch, deviation, padded
        self.beside = beside
        self.time = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.caption = nn.Linear(pooled_width, width)
        self.augmentation = AugmentationCondition(width) if augment else None
        self.words = nn.Linear(token_width, width)
        self.stem = widened(nn.Linear(channels * patch**2, width), beside * patch**2)
        self.blocks = nn.ModuleList(
            DiTBlock(width, config.heads, config.mlp, config.dropout) for _ in range(config.layers)
        )
        self.depths = linear_depth(config.stochastic_depth, config.layers)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, channels * patch**2)
        for layer in (self.modulation, self.out):  # zeros: untrained, it predicts the mean of all data
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def tap_widths(self) -> tuple[int, ...]:
        """Channels of what each tap gives."""
        return (self.stem.out_features,) * len(self.blocks)

    @property
    def heavy(self) -> list[nn.Module]:
        """Its blocks: alike, so that one program compiled serves all."""
        return list(self.blocks)

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
        taps, trunk: see `sdmodel.denoise.taps`; a block is tapped after it.
        ValueError: H and W are no multiples of the patch."""
        height, width = x_t.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"arrays of {height} x {width} cannot be cut into dit.patch={self.patch}; sides must be "
                "multiples of it"
            )
        embedding = self.time(time_features(t)) + self.caption(condition.pooled)  # (B, W)
        if self.augmentation is not None:
            embedding = self.augmentation(embedding, augmented)
        words = self.words(condition.states)  # (B, L, W)
        mask = condition.mask[:, None, None, :] if self.padded else None  # (B, 1, 1, L)

        x = unit_scale(t, self.deviation)[:, None, None, None] * x_t
        x = concatenated(x, condition, self.beside)
        x = F.pixel_unshuffle(x, self.patch)  # (B, (C + beside) * patch**2, h, w)
        h, w = x.shape[-2:]
        x = self.stem(x.flatten(2).transpose(1, 2))  # (B, h * w, W)
        x = x + positions(h, w, x.shape[-1], x.device)
        features: list[Tensor] = []
        for number, (block, depth) in enumerate(zip(self.blocks, self.depths, strict=True)):
            x = depth(x, block(x, embedding, words, mask))
            if number in taps:
                features.append(x.transpose(1, 2).unflatten(2, (h, w)))  # (B, W, h, w)
                if trunk and number == taps[-1]:
                    return None, features
        shift, scale = self.modulation(F.silu(embedding))[:, None].chunk(2, dim=-1)
        x = self.out(modulated(x, shift, scale))
        predicted = F.pixel_shuffle(x.transpose(1, 2).unflatten(2, (h, w)), self.patch).float()
        return (predicted, features) if taps else predicted


def positions(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Positional encodings (height * width, channels) float32, row by row: sines and cosines of the row, then
    of the column, at geometrically spaced frequencies from 1 to 1e-4 (Vaswani et al. 2017, arXiv:1706.03762,
    section 3.5, for two axes as in DiT). channels is a multiple of 4.

    They are relative to the picture: counted from its middle, in units of which a square has EXTENT to a side
    however many places that are (interpolated, as Chen et al. 2023, arXiv:2310.00426, section 3.1, do for
    larger pictures), so that what was learned at one size holds at another."""
    quarter = channels // 4
    frequency = 1e-4 ** (torch.arange(quarter, device=device) / quarter)
    unit = EXTENT / math.sqrt(height * width)
    rows, columns = (
        unit * (torch.arange(n, device=device)[:, None] - (n - 1) / 2) * frequency for n in (height, width)
    )
    down, across = (
        torch.cat([angle.sin(), angle.cos()], 1) for angle in (rows, columns)
    )  # (n, channels / 2)
    grid = torch.cat([down[:, None].expand(-1, width, -1), across[None].expand(height, -1, -1)], 2)
    return grid.flatten(0, 1)  # (height * width, channels)
