from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sdmodel.config.learning import LONGEST, EmaConfig
from sdmodel.train.ema import WeightAverages
from sdmodel.train.posthoc import Averaged, coefficients, power, reconstruct

TIMES = range(1000, 16_001, 1000)
LENGTHS = (0.05, 0.1)


def averaged(images: int, length: float, degree: float) -> Tensor:
    """Of weights that are (tau / 16000)^degree at time tau: the integral of that times the profile."""
    gamma = power(length)
    return torch.tensor([(gamma + 1) / (gamma + 1 + degree) * (images / 16_000) ** degree])


def checkpoints(weights: Callable[[int, float], dict[str, Tensor]]) -> list[Averaged]:
    return [(at, length, weights(at, length)) for at in TIMES for length in LENGTHS]


@given(st.floats(1e-3, LONGEST))
def test_a_power_has_its_length(length: float):
    gamma = power(length)
    assert gamma > -1e-6
    assert ((gamma + 1) / (gamma + 3)) ** 0.5 / (gamma + 2) == pytest.approx(length)


def test_powers_are_the_paper_s():
    """Section 3.1 of Karras et al. 2023: lengths of 5 % and 10 %."""
    assert power(0.05) == pytest.approx(16.97, abs=0.01)
    assert power(0.10) == pytest.approx(6.94, abs=0.01)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.03, 0.2), st.integers(8000, 16_000), st.floats(0.0, 4.0))
def test_any_length_is_found_from_two(length: float, images: int, degree: float):
    taken = checkpoints(lambda at, one: {"w": averaged(at, one, degree)})
    found = reconstruct(taken, images, length)["w"]
    torch.testing.assert_close(found, averaged(images, length, degree), rtol=0, atol=1e-2)


def test_a_length_that_was_kept_is_itself():
    for at, length in ((16_000, 0.1), (9000, 0.05)):
        keys = [(t, one) for t in TIMES for one in LENGTHS]
        factors = coefficients([t for t, _ in keys], [one for _, one in keys], at, length)
        assert dict(zip(keys, factors, strict=True)) == pytest.approx(
            {key: float(key == (at, length)) for key in keys}, abs=1e-4
        )


def test_the_fit_is_the_nearest():
    """Any other factors are farther from the wanted profile, by numerical integration."""
    times, lengths = [4000, 8000, 8000], [0.1, 0.1, 0.05]
    tau = (torch.arange(80_000, dtype=torch.float64) + 0.5) / 10

    def profile(t: int, length: float) -> Tensor:
        return torch.where(tau < t, (power(length) + 1) / t * (tau / t) ** power(length), 0.0)

    basis, wanted = (
        torch.stack([profile(*one) for one in zip(times, lengths, strict=True)]),
        profile(7500, 0.15),
    )
    best = torch.linalg.lstsq(basis.T, wanted[:, None]).solution[:, 0]
    factors = torch.tensor(coefficients(times, lengths, 7500, 0.15), dtype=torch.float64)
    torch.testing.assert_close(factors, best / best.sum(), rtol=1e-3, atol=1e-4)


def test_a_training_s_average_is_found_afterwards():
    """Against an average of that length that was kept while training."""
    linear, wanted = nn.Linear(4, 4), 0.15
    averages = WeightAverages(linear, EmaConfig(lengths=(*LENGTHS, wanted)), 32)
    generator, taken = torch.Generator().manual_seed(0), []
    for images in range(32, 16_001, 32):
        with torch.no_grad():
            linear.weight += 0.1 * torch.randn(4, 4, generator=generator)
        averages.update(images)
        if images % 1600 == 0:
            taken += [(images, length, averages.weights(length)) for length in LENGTHS]
    exact, found = averages.weights(wanted)["weight"], reconstruct(taken, 16_000, wanted)["weight"]
    others = [averages.weights(length)["weight"] for length in (None, *LENGTHS)]
    assert (found - exact).norm() < 0.1 * min((other - exact).norm() for other in others)
    assert found.dtype == torch.float32


def test_counts_are_those_of_the_nearest():
    taken = checkpoints(lambda at, length: {"w": torch.ones(2, 2), "count": torch.tensor(at)})
    found = reconstruct(taken, 7600, 0.2)
    assert found["count"] == 8000
    torch.testing.assert_close(found["w"], torch.ones(2, 2))


def test_what_cannot_be_known_is_refused():
    taken = checkpoints(lambda at, length: {"w": torch.ones(1)})
    for none, images in (([], 1), (taken, 16_001), (taken, 0)):
        with pytest.raises(ValueError, match=f"images={images}"):
            reconstruct(none, images, 0.1)
    with pytest.raises(ValueError, match=r"length=0\.4"):
        reconstruct(taken, 16_000, 0.4)
    with pytest.raises(ValueError, match="at 16000 images is of another model"):
        reconstruct([*taken, (16_000, 0.1, {"v": torch.ones(1)})], 16_000, 0.1)
