from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.sampling import OURS, Sampling
from sdmodel.sample.guidance import GuidanceStep, Predictor, guided, guided_in_steps, rescaled

CAPTION, EMPTY = (
    Condition(torch.full((2, 1), v), torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool))
    for v in (5.0, 1.0)
)
PLAIN = replace(OURS, interval=(0.0, 1.0))
X = torch.zeros(2, 3, 2, 2)


def says_the_condition(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
    return condition.pooled[:, :, None, None].expand_as(x_t)


def at(sampling: Sampling, time: float) -> Tensor:
    return guided(says_the_condition, CAPTION, EMPTY, sampling)(X, torch.full((2,), time))


@pytest.mark.parametrize(("scale", "value"), [(1.0, 5.0), (0.0, 1.0), (2.0, 9.0)])
def test_guidance_leads_away_from_the_empty_caption(scale: float, value: float):
    assert (at(replace(PLAIN, guidance=scale), 0.5) == value).all()


def test_there_is_guidance_in_its_interval_alone():
    sampling = replace(PLAIN, guidance=2.0, interval=(0.2, 0.6))
    for time, value in ((0.0, 5), (0.19, 5), (0.2, 9), (0.59, 9), (0.6, 5), (0.99, 5)):
        assert (at(sampling, time) == value).all(), time


def bits(*given: float) -> Condition:
    """Two pictures of which these numbers are given, 0 is not."""
    pooled = torch.tensor([given, given], dtype=torch.float32)
    return Condition(pooled, torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool))


def sums(calls: list[int]) -> Predictor:
    """A linear predictor, which writes down for how many pictures it was called."""

    def predict(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        calls.append(len(x_t))
        return condition.pooled.sum(1)[:, None, None, None].expand_as(x_t)

    return predict


@pytest.mark.parametrize(
    ("scales", "value", "rows"),
    [
        ((2.0, 3.0, 0.5), 2.0 * 1 + 3.0 * 10 + 0.5 * 100, 8),
        ((1.0, 3.0, 0.5), 1.0 + 3.0 * 10 + 0.5 * 100, 6),  # what is only followed at first costs nothing
        ((3.0, 1.0, 1.0), 3.0 + 10 + 100, 6),
        ((2.0, 2.0, 2.0), 222.0, 4),  # equal scales are classifier-free guidance by all at once
        ((2.0, 2.0, 3.0), 2.0 * 11 + 300, 6),
        ((1.0, 1.0, 1.0), 111.0, 2),
    ],
)
def test_each_condition_leads_by_its_own_scale(scales: tuple[float, ...], value: float, rows: int):
    """Brooks et al. 2022, equation 3, of three conditions."""
    calls: list[int] = []
    given = (bits(1, 0, 0), bits(1, 10, 0), bits(1, 10, 100))
    steps = [GuidanceStep(condition, scale) for condition, scale in zip(given, scales, strict=True)]
    guide = guided_in_steps(sums(calls), bits(0, 0, 0), steps, replace(PLAIN, interval=(0.0, 0.5)))
    assert (guide(X, torch.zeros(2)) == value).all()
    assert (guide(X, torch.full((2,), 0.5)) == 111).all()
    assert calls == [rows, 2]


def test_a_single_condition_is_classifier_free_guidance_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    layer = torch.randn(6, 3, generator=generator)

    def predict(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return (condition.pooled @ layer)[:, :, None, None] + x_t

    nothing, something = (
        Condition(torch.randn(2, 6, generator=generator), EMPTY.states, EMPTY.mask) for _ in range(2)
    )
    x, t = torch.randn(2, 3, 2, 2, generator=generator), torch.zeros(2)
    sampling = replace(PLAIN, guidance=2.7)
    for weak in (None, predict):
        plain = guided(predict, something, nothing, sampling, weak)(x, t)
        steps = [GuidanceStep(something, 2.7)]
        assert torch.equal(guided_in_steps(predict, nothing, steps, sampling)(x, t), plain)


def test_guidance_is_one_call_of_a_joined_batch():
    sizes: list[int] = []

    def predict(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        sizes.append(len(x_t))
        return says_the_condition(x_t, t, condition)

    guide = guided(predict, CAPTION, EMPTY, replace(PLAIN, interval=(0.0, 0.5)))
    guide(X, torch.zeros(2))
    guide(X, torch.full((2,), 0.5))
    assert sizes == [4, 2]


def test_autoguidance_leads_away_from_the_weak_model():
    def weak(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return says_the_condition(x_t, t, condition) - 2

    guide = guided(says_the_condition, CAPTION, CAPTION, replace(PLAIN, guidance=1.5), weak)
    assert (guide(X, torch.zeros(2)) == 3 + 1.5 * 2).all()


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_rescaling_brings_deviations_back_by_a_share(share: float):
    """Lin et al. 2023, equation 16: x_final keeps its direction."""
    generator = torch.Generator().manual_seed(0)
    led, captioned = 3 * torch.randn(4, 3, 8, 8, generator=generator), torch.randn(4, 3, 8, 8)
    final = rescaled(led, captioned, share)
    deviation = (1 - share) * led.std((1, 2, 3)) + share * captioned.std((1, 2, 3))
    torch.testing.assert_close(final.std((1, 2, 3)), deviation)
    torch.testing.assert_close(
        final / final.std((1, 2, 3), keepdim=True), led / led.std((1, 2, 3), keepdim=True)
    )
