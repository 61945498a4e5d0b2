import math

import pytest
import torch

from sdmodel.sample.solvers import pairs
from sdmodel.sample.times import sampling_times


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 10_000])
@pytest.mark.parametrize("amount", [0.01, 1.0, 4.0])
def test_times_rise_from_noise_to_data(steps: int, amount: float):
    times = sampling_times(steps, amount)
    assert (times[0], times[-1], len(times)) == (0, 1, steps + 1)
    assert len(pairs(times)) == steps  # which asks that they rise


def test_they_are_even_in_log_snr():
    inner = torch.logit(sampling_times(8)[1:-1].double())
    torch.testing.assert_close(inner, torch.linspace(-3, 3, 7, dtype=torch.float64), atol=1e-5, rtol=0)
    many = torch.logit(sampling_times(40)[1:-1].double())
    assert many[0] == pytest.approx(-3, abs=1e-5)
    assert many[-1] == pytest.approx(3 + math.log(4), abs=1e-4)
    assert float(many.diff().std()) < 1e-5


def test_a_shift_divides_the_odds():
    plain, shifted = (torch.logit(sampling_times(8, amount)[1:-1].double()) for amount in (1.0, 4.0))
    torch.testing.assert_close(shifted, plain - math.log(4), atol=1e-5, rtol=0)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match=r"steps=0.*at least 1"):
        sampling_times(0)
