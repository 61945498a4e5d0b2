"""Hidden features of denoisers, as results: with or without them the prediction is the same to the bit."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from sdmodel.config.model import DiTConfig, UNetConfig
from sdmodel.denoise.build import build_denoiser
from sdmodel.denoise.taps import tap_width
from sdmodel.latents.space import PIXELS
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.objective import Objective
from sdmodel.row_dropout import by_row, drawing_for
from sdmodel.train.speed import checkpoint_heavy
from tests.sdmodel.denoise.test_build import CONFIG, condition, made, noisy

T = torch.tensor([0.2, 0.7])
SIDES = {"unet": [8, 4, 4], "dit": [8, 8]}


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_taps_give_features_beside_the_same_prediction(network: Any):
    net, x = made(network), noisy(2)
    taps = tuple(range(len(net.tap_widths)))
    predicted, features = net(x, T, condition(2), taps=taps)
    assert torch.equal(predicted, net(x, T, condition(2)))
    assert [f.shape[1] for f in features] == list(net.tap_widths)
    assert [tuple(f.shape[2:]) for f in features] == [(side, side) for side in SIDES[network]]
    nothing, trunk = net(x, T, condition(2), taps=taps[-1:], trunk=True)
    assert nothing is None
    assert torch.equal(trunk[0], features[-1])
    nothing, first = net(x, T, condition(2), taps=(0,), trunk=True)
    assert nothing is None
    assert torch.equal(first[0], features[0])


def test_a_place_of_a_transformer_s_features_is_that_of_the_picture():
    """Tokens lie row by row: what changes at the right above changes features there most."""
    net, x = made("dit", std=0.05), noisy(1)
    changed = x.clone()
    changed[..., :2, 6:8] += 3
    before, after = (net(some, T[:1], condition(1), taps=(0,), trunk=True)[1][0] for some in (x, changed))
    difference = (after - before).square().sum(1)[0]
    assert divmod(int(difference.argmax()), 8) == (0, 3)


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_features_teach_the_trunk_before_them_alone(network: Any):
    net = made(network)
    net(noisy(2), T, condition(2), taps=(0,), trunk=True)[1][0].square().mean().backward()
    taught = {name for name, p in net.named_parameters() if p.grad is not None}
    assert any(name.startswith("stem") for name in taught)
    assert not any(name.startswith(("out", "decoder", "blocks.1", "encoder.1")) for name in taught)


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_features_pass_through_activation_checkpointing_and_stochastic_depth(network: Any):
    def gradients(*, checkpointed: bool) -> list[Tensor]:
        torch.manual_seed(0)
        config = replace(
            CONFIG,
            network=network,
            unet=replace(CONFIG.unet, stochastic_depth=0.5),
            dit=replace(CONFIG.dit, stochastic_depth=0.5),
        )
        net: Any = build_denoiser(config, PIXELS, 12, 6, NoiseSchedule())
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.2)
        by_row(net)
        if checkpointed:
            checkpoint_heavy(cast(Objective, SimpleNamespace(heavy=net.heavy)))
        with drawing_for(0, torch.arange(2)):
            predicted, features = net(noisy(2), T, condition(2), taps=(1,))
            (predicted.square().mean() + features[0].square().mean()).backward()
        return [p.grad for p in net.parameters() if p.grad is not None]

    for plain, saving in zip(gradients(checkpointed=False), gradients(checkpointed=True), strict=True):
        assert torch.equal(plain, saving)


def test_a_tap_that_a_network_has_not_is_refused():
    with pytest.raises(ValueError, match=r"Identity has 0 taps .* kind to none"):
        tap_width(nn.Identity(), 0)
    assert tap_width(made("unet"), CONFIG.unet.taps - 1) == 16
    assert UNetConfig().taps == 4
    assert DiTConfig().layers == 12
