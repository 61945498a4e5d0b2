from typing import Any

import pytest

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.optim.schedule import rate


def config(decay: Any, warmup: int = 1000, images: int = 10_000) -> TrainConfig:
    return TrainConfig(images=images, optimizer=OptimizerConfig(decay=decay, warmup=warmup))


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_rate_rises_then_falls_to_zero(decay: str):
    rates = [rate(images, config(decay)) for images in range(0, 10_000, 100)]
    assert 0 < rates[0] < 0.01
    assert max(rates) == rates[10]  # where the warm-up ends
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rate(10_000, config(decay)) == rate(10_064, config(decay)) == 0


def test_linear_and_cosine_meet_half_way():
    assert rate(5000, config("linear")) == pytest.approx(0.5)
    assert rate(5000, config("cosine")) == pytest.approx(0.5)
    assert rate(5500, config("linear")) == pytest.approx(0.45)
    assert rate(7500, config("cosine")) == pytest.approx((1 - 0.5**0.5) / 2)


def test_constant_stays():
    assert rate(500, config("constant")) == pytest.approx(0.5, abs=1e-3)
    assert rate(9999, config("constant")) == 1


def test_no_warmup_begins_at_full_rate():
    assert rate(0, config("linear", warmup=0)) == 1
