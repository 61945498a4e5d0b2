"""Decoding in tiles: nothing changes where one tile is all, and little where there are several."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sdmodel.autoencoder.objective import AutoencoderObjective
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.pixels import to_float
from sdmodel.latents import autoencoder
from sdmodel.latents.tiling import decode_tiled, starts, tiles_of
from stages.demo import world
from tests import frozen


@pytest.mark.parametrize(("side", "overlap", "step"), [(8, 2, 1), (8, 3, 1), (16, 6, 2), (64, 4, 1)])
def test_every_place_counts_once(side: int, overlap: int, step: int):
    like = torch.zeros(1, 1, 40, 22)
    for tile in tiles_of(like, side, overlap, step):
        assert tile.rows.start % step == tile.columns.start % step == 0
        like[..., tile.rows, tile.columns] += tile.weight
    torch.testing.assert_close(like, torch.ones_like(like))


def psnr(pictures: Tensor, whole: Tensor) -> float:
    """Peak signal-to-noise ratio, dB."""
    signal = (whole.max() - whole.min()).square()
    return float(10 * torch.log10(signal / (pictures - whole).square().mean()))


def test_tiles_are_what_is_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Peak signal-to-noise ratio of 40 dB at least, on 2 of [-1, 1]; tiles by themselves do worse."""
    ours = autoencoder.load_autoencoder(frozen.autoencoder(tmp_path))
    ramp = torch.linspace(-2, 2, 64)
    z = (ramp[:, None] * torch.tensor([1.0, -1.0, 0.5])[:, None, None] + ramp.sin())[None]
    with torch.no_grad():
        whole = ours.decode(z)
        torch.testing.assert_close(decode_tiled(ours.vae, z, 64, 8), whole, atol=1e-4, rtol=1e-4)
        tiled = decode_tiled(ours.vae, z, 32, 12)
    assert psnr(tiled, whole) >= 40
    monkeypatch.setattr(autoencoder, "AT_ONCE", 1000)
    monkeypatch.setattr(autoencoder, "TILE", 64)
    torch.testing.assert_close(ours.decode(z), tiled)


@pytest.fixture(scope="module")
def demo_autoencoder() -> Any:
    """AutoencoderKL that has learned from pictures of the demo's world, of 32 pixels."""
    torch.manual_seed(0)
    shape = AutoencoderConfig(channels=(16, 32, 32), groups=8)
    objective = AutoencoderObjective(TrainConfig(objective="autoencoder", size=32, autoencoder=shape))
    optimizer = torch.optim.AdamW(objective.modules.parameters(), 3e-3)
    pictures = demo_pictures(64, 32)
    for step in range(200):
        index = torch.arange(8 * step, 8 * step + 8) % len(pictures)
        names = [str(row) for row in index.tolist()]
        rows = Batch(
            images=pictures[index], captions=names, uids=names, index=index, size=8, start=0, seed=step
        )
        torch.stack(list(objective.modules(rows).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return objective.modules.vae.eval()


def demo_pictures(count: int, side: int) -> Tensor:
    """(count, 3, side, side) of [-1, 1]."""
    scenes = [world.scene(3, row, world.draw_attributes(3, row, unseen=None)) for row in range(count)]
    return to_float(np.stack([world.render(scene, side) for scene in scenes]).transpose(0, 3, 1, 2))


def test_tiles_of_the_demo_s_autoencoder_join_without_a_seam(demo_autoencoder: Any):
    """A peak signal-to-noise ratio of 40 dB at least, and where tiles begin and end no more change from pixel
    to pixel, beside what is decoded at once, than 1.1 times that of elsewhere."""
    side, overlap, factor = 24, 9, 4
    pictures = demo_pictures(8, 192)
    with torch.no_grad():
        z = demo_autoencoder.encode(pictures).latent_dist.mean
        whole = demo_autoencoder.decode(z, return_dict=False)[0]
        tiled = decode_tiled(demo_autoencoder, z, side, overlap)
    assert psnr(whole, pictures) > 15  # it has learned
    assert psnr(tiled, whole) >= 40
    begins = [factor * start for start in starts(z.shape[-1], side, overlap)]
    edges = {edge for begin in begins for edge in (begin, begin + factor * side)} - {0, whole.shape[-1]}
    seams = torch.tensor(sorted(edge - 1 for edge in edges))
    elsewhere = torch.ones(whole.shape[-1] - 1, dtype=torch.bool).index_fill(0, seams, False)
    at_seams, rest = (gradients(tiled)[c].mean() / gradients(whole)[c].mean() for c in (seams, elsewhere))
    assert len(seams) > 2
    assert at_seams <= 1.1 * rest


def gradients(pictures: Tensor) -> Tensor:
    """(W - 1,): mean change from each column to the next."""
    return (pictures[..., 1:] - pictures[..., :-1]).abs().mean((0, 1, 2))
