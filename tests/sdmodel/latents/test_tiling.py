"""Decoding in tiles: nothing changes where one tile is all, and little where there are several."""

from pathlib import Path

import pytest
import torch

from sdmodel.latents import autoencoder
from sdmodel.latents.tiling import decode_tiled, tiles_of
from tests import frozen


@pytest.mark.parametrize(("side", "overlap", "step"), [(8, 2, 1), (8, 3, 1), (16, 6, 2), (64, 4, 1)])
def test_every_place_counts_once(side: int, overlap: int, step: int):
    like = torch.zeros(1, 1, 40, 22)
    for tile in tiles_of(like, side, overlap, step):
        assert tile.rows.start % step == tile.columns.start % step == 0
        like[..., tile.rows, tile.columns] += tile.weight
    torch.testing.assert_close(like, torch.ones_like(like))


def test_tiles_are_what_is_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Peak signal-to-noise ratio of 40 dB at least, on 2 of [-1, 1]; tiles by themselves do worse."""
    ours = autoencoder.load_autoencoder(frozen.autoencoder(tmp_path))
    ramp = torch.linspace(-2, 2, 64)
    z = (ramp[:, None] * torch.tensor([1.0, -1.0, 0.5])[:, None, None] + ramp.sin())[None]
    with torch.no_grad():
        whole = ours.decode(z)
        torch.testing.assert_close(decode_tiled(ours.vae, z, 64, 8), whole, atol=1e-4, rtol=1e-4)
        tiled = decode_tiled(ours.vae, z, 32, 12)
    signal = (whole.max() - whole.min()).square()
    assert 10 * torch.log10(signal / (tiled - whole).square().mean()) >= 40
    monkeypatch.setattr(autoencoder, "AT_ONCE", 1000)
    monkeypatch.setattr(autoencoder, "TILE", 64)
    torch.testing.assert_close(ours.decode(z), tiled)
