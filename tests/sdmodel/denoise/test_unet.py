import pytest
import torch

from sdmodel.condition import Condition
from sdmodel.config.model import UNetConfig
from sdmodel.denoise.unet import UNet, resized

SMALL = UNetConfig(channels=(8, 16), heads=2, condition=16)


def condition(rows: int, tokens: int = 5, seed: int = 0) -> Condition:
    generator = torch.Generator().manual_seed(seed)
    return Condition(
        torch.randn(rows, 12, generator=generator),
        torch.randn(rows, tokens, 6, generator=generator),
        torch.ones(rows, tokens, dtype=torch.bool),
    )


def trained(config: UNetConfig = SMALL, size: int = 8) -> UNet:
    """With weights that a training might give: none is zero."""
    torch.manual_seed(0)
    net = UNet(config, size, pooled_width=12, token_width=6)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        UNetConfig(channels=(8,), patch=4, heads=1),
        UNetConfig(channels=(4, 8, 8), blocks=2, patch=1),
    ],
)
def test_every_weight_learns(config: UNetConfig):
    net = trained(config)
    out = net(torch.randn(2, 3, 8, 8), torch.tensor([0.1, 0.9]), condition(2))
    assert out.shape == (2, 3, 8, 8)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (4, 4), (8, 12)])
def test_other_sizes_see_the_same_maps(height: int, width: int):
    net = trained()
    out = net(torch.randn(2, 3, height, width), torch.tensor([0.1, 0.9]), condition(2))
    assert out.shape == (2, 3, height, width)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    left = torch.arange(4.0).expand(1, 1, 4, 4)  # what is on the left stays there
    there = resized(left, torch.zeros(1, 1, height, width))
    assert there[..., 0].max() < 1 < 2 < there[..., -1].min()
    assert resized(left, left) is left


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"8 x 6 .* multiples of 4"):
        trained()(torch.randn(1, 3, 8, 6), torch.tensor([0.5]), condition(1))


def test_rows_do_not_mix():
    net, x, t = trained(), torch.randn(3, 3, 8, 8), torch.tensor([0.0, 0.5, 1.0])
    both = net(x, t, condition(3))
    for row in range(3):
        one = net(x[row : row + 1], t[row : row + 1], condition(3).rows(row, row + 1))
        torch.testing.assert_close(one[0], both[row])


def test_padding_says_nothing():
    net, x, t, short = trained(), torch.randn(2, 3, 8, 8), torch.tensor([0.2, 0.7]), condition(2)
    padded = Condition(
        short.pooled,
        torch.cat([short.states, torch.full((2, 3, 6), 9.0)], 1),
        torch.cat([short.mask, torch.zeros(2, 3, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(net(x, t, padded), net(x, t, short))


def test_caption_and_time_matter():
    net, x, t = trained(), torch.randn(1, 3, 8, 8), torch.tensor([0.5])
    out = net(x, t, condition(1))
    assert not torch.allclose(out, net(x, t, condition(1, seed=1)))
    assert not torch.allclose(out, net(x, torch.tensor([0.6]), condition(1)))
