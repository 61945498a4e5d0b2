from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.sampling import OURS, Sampling
from sdmodel.sample.guidance import guided, rescaled

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
