"""What every denoiser keeps to, in pixels and in latents."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sdmodel.condition import Condition
from sdmodel.config.learning import DataConfig
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.train import TrainConfig
from sdmodel.denoise.build import build_denoiser
from sdmodel.latents.space import PIXELS, Space
from sdmodel.noise.schedule import NoiseSchedule

CONFIG = TrainConfig(
    size=16,
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    unet2d=UNet2DConfig(channels=(8, 16), blocks=1, attention=(False, True), head_width=8, groups=4),
    dit=DiTConfig(width=16, layers=2, heads=2),
)
LATENTS = Space(5, 2, (0.0,) * 5, (1.0,) * 5)
NETWORKS: tuple[Any, ...] = ("unet", "unet2d", "dit")
SHAPED = ("unet2d", "dit")
OURS = ("unet", "dit")
"""Those that see captions as one vector and how pictures were moved; diffusers' UNet has no room for it."""


def made(network: Any, space: Space = PIXELS, *, std: float = 0.2, padded: bool = True, **data: Any) -> Any:
    """With weights that a training might give: none is zero."""
    torch.manual_seed(0)
    config = replace(CONFIG, network=network, data=DataConfig(**data))
    net = build_denoiser(config, space, 12, 6, NoiseSchedule(), padded=padded)
    for parameter in net.parameters():
        if std:
            nn.init.normal_(parameter, std=std)
    return net


def condition(rows: int, seed: int = 0) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    return Condition(
        torch.randn(rows, 12, generator=generator),
        torch.randn(rows, 5, 6, generator=generator),
        torch.ones(rows, 5, dtype=torch.bool),
    )


def noisy(rows: int, channels: int = 3, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.randn(rows, channels, height, width, generator=torch.Generator().manual_seed(1))


TIMES = torch.tensor([0.0, 0.4, 1.0])


@pytest.mark.parametrize("space", [PIXELS, LATENTS], ids=["pixels", "latents"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_weight_learns(network: Any, space: Space):
    moved = network in OURS
    net, side = made(network, space, augment=0.5 if moved else 0.0), 16 // space.factor
    x = noisy(3, space.channels, side, side)
    out = net(x, TIMES, condition(3), torch.randn(3, 9) if moved else None)
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    out.square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@pytest.mark.parametrize("network", NETWORKS)
def test_rows_do_not_mix(network: Any):
    net, x = made(network), noisy(3)
    both = net(x, TIMES, condition(3))
    for row in range(3):
        one = net(x[row : row + 1], TIMES[row : row + 1], condition(3).rows(row, row + 1))
        torch.testing.assert_close(one[0], both[row], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_padding_says_nothing_and_words_and_time_do(network: Any):
    net, x, short = made(network), noisy(3), condition(3)
    out = net(x, TIMES, short)
    padded = Condition(
        short.pooled,
        torch.cat([short.states, torch.full((3, 3, 6), 9.0)], 1),
        torch.cat([short.mask, torch.zeros(3, 3, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(net(x, TIMES, padded), out, rtol=1e-4, atol=1e-4)
    other = condition(3, seed=1)
    pooled = Condition(other.pooled, short.states, short.mask)
    assert torch.equal(net(x, TIMES, pooled), out) == (network not in OURS)
    assert not torch.allclose(net(x, TIMES, Condition(short.pooled, other.states, short.mask)), out)
    assert not torch.allclose(net(x, TIMES + 0.1, short)[1], out[1])


@pytest.mark.parametrize("network", OURS)
def test_a_picture_that_was_not_moved_is_what_a_sample_is(network: Any):
    net, x = made(network, augment=0.5), noisy(3)
    out = net(x, TIMES, condition(3))
    torch.testing.assert_close(net(x, TIMES, condition(3), torch.zeros(3, 9)), out)
    assert not torch.allclose(net(x, TIMES, condition(3), torch.ones(3, 9)), out)
    names = {name for name, _ in made(network).named_parameters()}
    assert not any("augment" in name for name in names)


@pytest.mark.parametrize("network", NETWORKS)
def test_untrained_it_says_the_mean_of_all_data(network: Any):
    assert made(network, std=0)(noisy(3), TIMES, condition(3)).abs().max() < 0.1


@pytest.mark.parametrize("network", SHAPED)
def test_any_height_and_width(network: Any):
    net = made(network, padded=False)
    x = noisy(3, height=8, width=24)
    out = net(x, TIMES, condition(3))
    assert out.shape == x.shape
    # where a place is decides, not its number in the row: a wider picture is no taller one
    assert not torch.allclose(net(x.mT, TIMES, condition(3)).mT, out, atol=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_heavy_parts_are_parts_and_none_is_in_another(network: Any):
    net = made(network)
    assert net.heavy
    inside = [set(part.modules()) for part in net.heavy]
    assert all(part <= set(net.modules()) for part in inside)
    assert sum(map(len, inside)) == len(set().union(*inside))
    weights = sum(p.numel() for part in net.heavy for p in part.parameters())
    assert weights > 0.5 * sum(p.numel() for p in net.parameters())


def test_sides_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match=r"15 x 16 .* dit.patch=2"):
        made("dit")(noisy(3, height=15), TIMES, condition(3))


def test_dit_has_the_shapes_of_the_paper():
    with torch.device("meta"):
        base = build_denoiser(
            replace(CONFIG, network="dit", dit=DiTConfig()), LATENTS, 768, 768, NoiseSchedule()
        )
        wide = replace(CONFIG, network="dit", dit=DiTConfig(width=1152, layers=28, heads=16))
        large = build_denoiser(wide, LATENTS, 768, 768, NoiseSchedule())
    asking = [12 * 4 * (768**2 + 768), 28 * 4 * (1152**2 + 1152)]  # attention to words, which DiT has none of
    for net, millions, words in ((base, 130, asking[0]), (large, 675, asking[1])):
        count = sum(p.numel() for p in net.parameters()) - words
        assert count / 1e6 == pytest.approx(millions, rel=0.02)


def test_a_bucket_that_cannot_be_cut_is_named_before_the_training():
    config = replace(CONFIG, network="dit", size=64, data=DataConfig(buckets=7))
    whole = replace(config.dit, patch=4)
    with pytest.raises(ValueError, match=r"dit\.patch=4.*multiples of 32, and \[48, 80\] are not"):
        build_denoiser(
            replace(config, dit=whole), Space(4, 8, (0.0,) * 4, (1.0,) * 4), 12, 6, NoiseSchedule()
        )
    build_denoiser(
        replace(config, dit=replace(whole, patch=2)),
        Space(4, 8, (0.0,) * 4, (1.0,) * 4),
        12,
        6,
        NoiseSchedule(),
    )
