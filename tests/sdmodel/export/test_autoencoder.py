from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sdmodel.export.autoencoder import pixel_autoencoder, scaled_autoencoder
from sdmodel.latents.autoencoder import load_autoencoder
from sdmodel.latents.space import Space
from tests import frozen

SPACE = Space(3, 2, (0.3, -2.0, 1.5), (0.4, 3.0, 1.1))


@pytest.mark.parametrize("convolutions", [True, False])
@torch.no_grad()
def test_means_and_deviations_of_channels_go_into_the_convolutions(tmp_path: Path, convolutions: bool):
    autoencoder: Any = load_autoencoder(frozen.autoencoder(tmp_path))
    if not convolutions:
        settings = {**autoencoder.vae.config, "use_quant_conv": False, "use_post_quant_conv": False}
        autoencoder.vae = type(autoencoder.vae).from_config(settings).eval()
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    stock = scaled_autoencoder(autoencoder.vae, SPACE)
    moments = autoencoder.moments(pictures)
    expected = SPACE.normalised(moments, torch.zeros_like(moments[:, :3]))
    latents = stock.encode(pictures).latent_dist
    scale = stock.config.scaling_factor
    torch.testing.assert_close(latents.mean * scale, expected, rtol=1e-5, atol=1e-5)
    noisy = SPACE.normalised(moments, torch.ones_like(moments[:, :3]))
    torch.testing.assert_close((latents.mean + latents.std) * scale, noisy, rtol=1e-5, atol=1e-5)
    drawn = stock.decode(expected / scale).sample
    torch.testing.assert_close(drawn, autoencoder.decode(SPACE.restored(expected)), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_one_scale_for_all_channels_leaves_the_weights(tmp_path: Path):
    autoencoder = load_autoencoder(frozen.autoencoder(tmp_path))
    stock = scaled_autoencoder(autoencoder.vae, replace(SPACE, mean=(0.0,) * 3, deviation=(5.0,) * 3))
    assert stock.config.scaling_factor == pytest.approx(0.2)
    for name, value in autoencoder.vae.state_dict().items():
        assert torch.equal(stock.state_dict()[name], value)


@pytest.mark.parametrize("side", [8, 64])
@torch.no_grad()
def test_pixels_are_handed_through(side: int):
    vae = pixel_autoencoder()
    pixels = torch.randn(2, 3, side, side)
    assert (vae.decode(pixels).sample - pixels).abs().max() < 1e-5
    latents = vae.encode(pixels).latent_dist
    assert (latents.mean - pixels).abs().max() < 1e-5
    assert latents.std.max() < 1e-6
    half = vae.half().decode(pixels.half()).sample.float()
    assert (half - pixels).abs().max() < 0.01
