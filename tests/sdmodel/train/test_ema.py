import pytest
import torch
from torch import nn

from sdmodel.config.learning import EmaConfig
from sdmodel.train.ema import WeightAverages
from sdmodel.train.posthoc import power


def one_weight(value: float = 0.0) -> nn.Linear:
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, value)
    return linear


def normed() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)


def test_half_life_follows_its_definition():
    linear = one_weight()
    averages, expected = WeightAverages(linear, EmaConfig(half_life=1000, ramp=0.05), 100), 0.0
    for images in range(100, 40_000, 100):
        nn.init.constant_(linear.weight, float(images))
        averages.update(images)
        decay = 0.5 ** (100 / min(1000, 0.05 * images))
        expected = decay * expected + (1 - decay) * images
    assert averages.weights()["weight"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("length", [0.05, 0.2])
def test_power_functions_have_their_lengths(length: float):
    """Averaging time, and its squared distance to the mean, gives the profile's mean and spread."""
    linear, images, gamma = nn.Linear(2, 1, bias=False), 4096, power(length)
    mean = (gamma + 1) / (gamma + 2)  # equation 122
    averages = WeightAverages(linear, EmaConfig(lengths=(length, 0.1)), 1)
    for at in range(1, images + 1):
        with torch.no_grad():
            linear.weight.copy_(torch.tensor([[at / images, (at / images - mean) ** 2]]))
        averages.update(at)
    centre, variance = averages.weights(length)["weight"][0].tolist()
    assert centre == pytest.approx(mean, rel=2e-3)
    assert variance**0.5 == pytest.approx(length, rel=2e-3)


def test_small_steps_are_not_lost():
    """With a decay of 0.9999 a bfloat16 average never moves from 1 to 1.01."""
    linear = one_weight(1.0)
    averages = WeightAverages(linear, EmaConfig(half_life=6931), 1)
    nn.init.constant_(linear.weight, 1.01)
    for _ in range(1000):
        averages.update(10**9)
    expected = 1 + 0.01 * (1 - 0.5 ** (1000 / 6931))
    assert averages.weights()["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_weights_have_the_modules_names_and_stand_alone():
    model = normed()
    model(torch.randn(2, 3, 8, 8))
    averages = WeightAverages(model, EmaConfig(), 1)
    weights = averages.weights()
    assert list(weights) == list(model.state_dict())
    assert all(value.is_contiguous() for value in weights.values())
    assert torch.equal(weights["1.running_mean"], model.get_buffer("1.running_mean"))
    weights["0.weight"].zero_()
    assert averages.weights()["0.weight"].any()


def test_what_is_frozen_is_not_averaged():
    model = normed()
    model[:1].requires_grad_(False)
    averages = WeightAverages(model, EmaConfig(), 1)
    with torch.no_grad():
        model.get_parameter("0.weight").add_(1)
        model.get_parameter("1.weight").add_(1)
    assert torch.equal(averages.weights()["0.weight"], model.get_parameter("0.weight"))
    assert not torch.equal(averages.weights()["1.weight"], model.get_parameter("1.weight"))
    assert set(averages.state()) == {"half_life:1.weight", "half_life:1.bias"}


def test_state_restores_every_average():
    config = EmaConfig(lengths=(0.05, 0.1))
    one, other = (WeightAverages(normed(), config, 1) for _ in range(2))
    one.update(7)
    other.load({name: value.clone() for name, value in one.state().items()})
    for length in (None, 0.05, 0.1):
        assert torch.equal(one.weights(length)["0.weight"], other.weights(length)["0.weight"])


def test_other_averages_are_refused():
    averages = WeightAverages(normed(), EmaConfig(), 1)
    with pytest.raises(ValueError, match=r"half_life:0\.weight has the shape \(4, 1, 3, 3\)"):
        averages.load(averages.state() | {"half_life:0.weight": torch.zeros(4, 1, 3, 3)})
    with pytest.raises(ValueError, match=r"0\.05:0\.bias has the shape of none"):
        WeightAverages(normed(), EmaConfig(lengths=(0.05, 0.1)), 1).load(averages.state())


def test_modules_have_the_average_while_swapped():
    linear = one_weight(1.0)
    averages = WeightAverages(linear, EmaConfig(), 1)
    weight = linear.weight
    nn.init.constant_(weight, 3.0)
    with averages.swapped():
        assert linear(torch.ones(1, 1)).item() == 1
    assert linear.weight is weight
    assert weight.item() == 3
    assert averages.weights()["weight"].item() == 1
