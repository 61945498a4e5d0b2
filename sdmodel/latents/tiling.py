"""Decoding large latents in tiles: memory grows with a tile, not with the picture.

Tiles that normalise by statistics of their own (group normalisation; Wu and He 2018, arXiv:1803.08494) differ
in brightness and colour from the picture that is decoded at once: such tiles of half the side come to 22 dB
of it on a small autoencoder of the demo's pictures, and these to 44. Here the middle of the decoder, which
attends to all places, sees the whole latent; what enlarges it is done in overlapping tiles that share their
statistics. These are estimated on a small version and then taken from all tiles, each place once.
"""

import functools
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Tile:
    """A part of a latent, in places."""

    rows: slice
    columns: slice
    weight: Tensor
    """(1, 1, h, w): its part of each of its places; those of all tiles add up to 1."""


def decode_tiled(vae: Any, z: Tensor, side: int, overlap: int) -> Tensor:
    """(B, 3, H, W) pixels of latents z (B, C, h, w), by diffusers' AutoencoderKL; without gradients.

    side: places to a side of a tile. overlap: of neighbours, below `side`; they are blended there."""
    decoder = vae.decoder
    if vae.config.use_post_quant_conv:
        z = vae.post_quant_conv(z)
    h = decoder.mid_block(decoder.conv_in(z), None)

    def enlarge(part: Tensor) -> Tensor:
        for block in decoder.up_blocks:
            part = block(part, None)
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(part)))

    tiles = tiles_of(h, side, overlap)
    with shared_statistics(decoder) as statistics:
        small = (min(h.shape[2], side), min(h.shape[3], side))
        statistics.begin()
        enlarge(F.interpolate(h, small, mode="nearest"))
        statistics.take()
        for tile in tiles:
            statistics.weight = tile.weight
            enlarge(h[..., tile.rows, tile.columns])
        statistics.take()
        factor = 2 ** (len(decoder.up_blocks) - 1)
        whole = z.new_zeros(len(z), vae.config.out_channels, *(factor * places for places in z.shape[-2:]))
        for tile, pixels in zip(tiles, tiles_of(whole, side * factor, overlap * factor, factor), strict=True):
            part = enlarge(h[..., tile.rows, tile.columns])
            whole[..., pixels.rows, pixels.columns] += pixels.weight * part
    return whole


def tiles_of(like: Tensor, side: int, overlap: int, step: int = 1) -> list[Tile]:
    """The tiles of a map (B, C, h, w), weighted less towards edges that others overlap; they begin at
    multiples of `step`."""
    height, width = like.shape[-2:]
    spans = [
        [slice(start, min(places, start + side)) for start in starts(places, side, overlap, step)]
        for places in (height, width)
    ]
    ramps = [_weights(places, own, overlap) for places, own in zip((height, width), spans, strict=True)]
    return [
        Tile(rows, columns, (down[:, None] * across)[None, None].to(like))
        for rows, down in zip(spans[0], ramps[0], strict=True)
        for columns, across in zip(spans[1], ramps[1], strict=True)
    ]


def starts(places: int, side: int, overlap: int, step: int = 1) -> list[int]:
    """Where tiles begin, as few as cover so many places with about that overlap; all are multiples of
    `step`, and so must be what is given."""
    if places <= side:
        return [0]
    count = math.ceil((places - overlap) / (side - overlap))
    return [round(number * (places - side) / step / (count - 1)) * step for number in range(count)]


def _weights(places: int, spans: list[slice], overlap: int) -> list[Tensor]:
    """Of each span (n,), rising over the overlap and falling again, both gently, since what a tile computes
    is worst at its edge, where it does not see its neighbour; those of all add up to 1."""
    total, ramps = torch.zeros(places), list[Tensor]()
    for span in spans:
        near = torch.arange(1, span.stop - span.start + 1)
        share = torch.minimum(near, near.flip(0)) / (overlap + 1)
        ramps.append(share.clamp(max=1).mul(torch.pi / 2).sin().square())
        total[span] += ramps[-1]
    return [ramp / total[span] for ramp, span in zip(ramps, spans, strict=True)]


class SharedStatistics:
    """Means and mean squares of each group normalisation's groups, (B, groups, 1) each."""

    def __init__(self) -> None:
        self.used: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self.weight: Tensor | None = None
        """How much each place counts, as `Tile.weight`; None: all alike."""
        self._sums: dict[nn.Module, tuple[Tensor, Tensor, Tensor]] = {}

    def begin(self) -> None:
        """Each normalises by its own, until some are taken."""
        self.used, self._sums, self.weight = {}, {}, None

    def take(self) -> None:
        """What was seen since the last time is normalised by from now on."""
        self.used = {module: (first / n, second / n) for module, (n, first, second) in self._sums.items()}
        self._sums = {}

    def normalise(self, module: nn.GroupNorm, input: Tensor) -> Tensor:
        """What the module does to `input` (B, C, h, w), by the statistics in use."""
        x = input
        groups = x.unflatten(1, (module.num_groups, -1))  # (B, groups, C / groups, h, w)
        over = (2, 3, 4)
        if self.weight is None:
            weight = x.new_ones(1, 1, 1, 1, 1)
            count = x.new_tensor(float(groups[0, 0].numel()))
        else:
            weight = F.interpolate(self.weight, x.shape[-2:])[:, :, None]
            count = weight.sum() * groups.shape[2]
        first = (weight * groups).sum(over, keepdim=True)
        second = (weight * groups.square()).sum(over, keepdim=True)
        zero = x.new_zeros(())
        n, before, squares = self._sums.get(module, (zero, zero, zero))
        self._sums[module] = (n + count, before + first, squares + second)
        mean, square = self.used.get(module, (first / count, second / count))
        normal = (groups - mean) * (square - mean.square()).clamp(min=0).add(module.eps).rsqrt()
        return normal.view_as(x) * module.weight[:, None, None] + module.bias[:, None, None]


@contextmanager
def shared_statistics(modules: nn.Module) -> Generator[SharedStatistics]:
    """Inside, the group normalisations of maps use the statistics that are given."""
    statistics = SharedStatistics()
    norms = [module for module in modules.modules() if isinstance(module, nn.GroupNorm)]
    for norm in norms:
        norm.forward = functools.partial(statistics.normalise, norm)
    try:
        yield statistics
    finally:
        for norm in norms:
            del norm.forward
