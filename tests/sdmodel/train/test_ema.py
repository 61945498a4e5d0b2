import pytest
import torch
from torch import nn

from sdmodel.config import EmaConfig
from sdmodel.train.ema import Ema


def test_average_follows_its_definition():
    linear = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(linear.weight)
    ema, expected = Ema(linear, EmaConfig(half_life=1000, ramp=0.05), 100), 0.0
    for images in range(100, 40_000, 100):
        nn.init.constant_(linear.weight, float(images))
        ema.update(images)
        decay = 0.5 ** (100 / min(1000, 0.05 * images))
        expected = decay * expected + (1 - decay) * images
    assert ema.weights()["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_small_steps_are_not_lost():
    """With a decay of 0.9999 a bfloat16 average never moves from 1 to 1.01."""
    linear = nn.Linear(1, 1, bias=False)
    nn.init.ones_(linear.weight)
    ema = Ema(linear, EmaConfig(half_life=6931), 1)
    nn.init.constant_(linear.weight, 1.01)
    for _ in range(1000):
        ema.update(10**9)
    expected = 1 + 0.01 * (1 - 0.5 ** (1000 / 6931))
    assert ema.weights()["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_weights_have_the_modules_names_and_stand_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    model(torch.randn(2, 3, 8, 8))
    ema = Ema(model, EmaConfig(), 1)
    weights = ema.weights()
    assert list(weights) == list(model.state_dict())
    assert all(value.is_contiguous() for value in weights.values())
    assert torch.equal(weights["1.running_mean"], model[1].running_mean)
    weights["0.weight"].zero_()
    assert ema.weights()["0.weight"].any()
    other = Ema(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), EmaConfig(), 1)
    other.load(ema.weights())
    assert torch.equal(other.weights()["0.weight"], ema.weights()["0.weight"])
