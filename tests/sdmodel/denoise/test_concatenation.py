"""Channels beside x_t reach each denoiser, and change nothing until they are learned."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.condition import Condition
from sdmodel.denoise.build import build_denoiser
from sdmodel.denoise.concatenation import concatenated, widened
from sdmodel.latents.space import PIXELS
from sdmodel.noise.schedule import NoiseSchedule
from tests.sdmodel.denoise.test_build import CONFIG, NETWORKS, TIMES, condition, noisy


def network(name: Any, beside: int) -> Any:
    """As it begins, but for its last layer, which is zero then."""
    torch.manual_seed(0)
    config = replace(CONFIG, network=name)
    net: Any = build_denoiser(config, PIXELS, 12, 6, NoiseSchedule(), beside=beside)
    last = net.unet.conv_out if name == "unet2d" else net.out
    nn.init.normal_(last.weight, std=0.2, generator=torch.Generator().manual_seed(1))
    return net


def with_channels(maps: Tensor) -> Condition:
    return replace(condition(len(maps)), channels=maps)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_begins_as_without_channels_and_learns_of_them(name: Any):
    x, maps = noisy(3), torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    without, beside = network(name, 0), network(name, 2)
    out = beside(x, TIMES, with_channels(maps))
    torch.testing.assert_close(out, without(x, TIMES, condition(3)), rtol=1e-4, atol=1e-5)
    out.square().mean().backward()
    mine, others = dict(beside.named_parameters()), dict(without.named_parameters())
    changed = [key for key in mine if mine[key].shape != others[key].shape]
    assert changed == {"unet": ["stem.weight", "fine.weight"], "dit": ["stem.weight"]}.get(
        name, ["unet.conv_in.weight"]
    )
    for key in mine:
        rows, inputs = others[key].shape[:1], others[key].shape[1:2]
        assert torch.equal(mine[key][: rows[0], : inputs[0]] if inputs else mine[key], others[key])
    for key in changed:
        gradient, own = mine[key].grad, others[key].shape[1]
        assert gradient is not None
        assert not mine[key][:, own:].any()
        assert all(gradient[:, place].any() for place in range(own, gradient.shape[1]))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_is_told_of_its_own_channels(name: Any):
    net = network(name, 2)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    x, maps = noisy(3), torch.randn(3, 2, 16, 16)
    out = net(x, TIMES, with_channels(maps))
    other = net(x, TIMES, with_channels(torch.cat([maps[:2], -maps[2:]])))
    torch.testing.assert_close(other[:2], out[:2], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(other[2], out[2], atol=1e-3)


def test_a_pooled_vector_is_spread_over_space_and_a_map_is_resized():
    x, vector = noisy(2), torch.randn(2, 5, 1, 1)
    spread = concatenated(x, with_channels(vector), 5)
    assert torch.equal(spread[:, :3], x)
    assert torch.equal(spread[:, 3:], vector.expand(2, 5, 16, 16))
    maps = torch.randn(2, 5, 4, 8)
    larger = F.interpolate(maps, (16, 16), mode="bilinear")
    torch.testing.assert_close(concatenated(x, with_channels(maps), 5)[:, 3:], larger)
    assert concatenated(x, condition(2), 0) is x


def test_linear_layers_and_convolutions_are_widened_behind_their_own_inputs():
    linear, x = nn.Linear(3, 4), torch.randn(2, 3)
    before = linear(x)
    after = widened(linear, 2)(torch.cat([x, torch.randn(2, 2)], 1))
    torch.testing.assert_close(after, before)
    assert (linear.in_features, widened(nn.Conv2d(3, 4, 3), 2).in_channels) == (5, 5)


def test_conditions_with_channels_are_joined_cut_and_replaced_with_them():
    one, other = with_channels(torch.zeros(3, 2, 4, 4)), with_channels(torch.ones(3, 2, 4, 4))
    channels = one.joined(other).rows(2, 4).channels
    assert channels is not None
    assert channels.mean((1, 2, 3)).tolist() == [0, 1]
    chosen = one.replaced(torch.tensor([False, True, False]), other).to(torch.device("cpu")).channels
    assert chosen is not None
    assert chosen.mean((1, 2, 3)).tolist() == [0, 1, 0]
