import pytest
import torch
from torch import Tensor

from sdmodel.sample.ancestral import SeededNoise, ancestral, posterior
from sdmodel.sample.times import sampling_times

MEAN, DEVIATION = 0.3, 0.4


def test_the_posterior_is_that_of_ddpm():
    """Ho et al. 2020, equation 7, of the variances beta that lead from time s to t."""
    t, s = 0.4, 0.7
    r_t, r_s = (time**2 + (1 - time) ** 2 for time in (t, s))
    a_t, a_s = t**2 / r_t, s**2 / r_s  # cumulative products
    alpha = a_t / a_s
    beta = 1 - alpha
    of_clean = a_s**0.5 * beta / (1 - a_t)
    of_noisy = alpha**0.5 * (1 - a_s) / (1 - a_t)
    deviation = ((1 - a_s) / (1 - a_t) * beta) ** 0.5
    # x_t of DDPM is ours over sqrt(r_t); x_0 is the same.
    found = posterior(t, s)
    assert found[0] == pytest.approx(of_noisy * (r_s / r_t) ** 0.5)
    assert found[1] == pytest.approx(of_clean * r_s**0.5)
    assert found[2] == pytest.approx(deviation * r_s**0.5)


def test_a_step_from_the_marginal_leads_to_the_marginal():
    """Of a known picture, mean and variance exactly: q(x_s) is q(x_s | x_t, x_0) over q(x_t)."""
    for t, s in ((0.0, 0.05), (0.2, 0.5), (0.5, 0.99), (0.9, 1.0)):
        of_noisy, of_clean, deviation = posterior(t, s)
        assert of_noisy * t + of_clean == pytest.approx(s)
        assert (of_noisy * (1 - t)) ** 2 + deviation**2 == pytest.approx((1 - s) ** 2)


def test_normal_data_keep_their_mean_and_variance():
    """With many steps: the variance that a step leaves out, that of x_0 given x_t, falls with its length."""
    generator = torch.Generator().manual_seed(0)

    def fresh() -> Tensor:
        return torch.randn(50_000, 1, 1, 1, generator=generator)

    def ideal(x_t: Tensor, t: Tensor) -> Tensor:
        t = t[:, None, None, None]
        gain = t * DEVIATION**2 / ((t * DEVIATION) ** 2 + (1 - t) ** 2)
        return MEAN + gain * (x_t - t * MEAN)

    ends = {steps: ancestral(ideal, fresh(), sampling_times(steps), fresh) for steps in (50, 400)}
    missing = {steps: 1 - float(end.std()) / DEVIATION for steps, end in ends.items()}
    assert float(ends[400].mean()) == pytest.approx(MEAN, abs=0.01)
    assert missing[400] == pytest.approx(0, abs=0.02)
    assert missing[50] > 3 * missing[400]


def test_each_pictures_noise_is_its_own():
    device = torch.device("cpu")
    together = SeededNoise([3, 4], (2, 4, 4), device)
    alone = SeededNoise([4], (2, 4, 4), device)
    first, second = together(), together()
    assert torch.equal(first[1:], alone())
    assert torch.equal(second[1:], alone())
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[0], torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(3)))
