import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.sample.guidance import guided

CAPTION, EMPTY = (
    Condition(torch.full((2, 1), v), torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool))
    for v in (5.0, 1.0)
)


def says_the_condition(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
    return condition.pooled[:, :, None, None].expand_as(x_t)


def test_guidance_leads_away_from_the_empty_caption():
    x, t = torch.zeros(2, 3, 2, 2), torch.full((2,), 0.5)
    for scale, value in ((1.0, 5.0), (0.0, 1.0), (2.0, 9.0)):
        assert (guided(says_the_condition, CAPTION, EMPTY, scale)(x, t) == value).all()


def test_guidance_ends():
    guide = guided(says_the_condition, CAPTION, EMPTY, 2.0, until=0.6)
    x = torch.zeros(2, 3, 2, 2)
    assert (guide(x, torch.full((2,), 0.59)) == 9).all()
    assert (guide(x, torch.full((2,), 0.6)) == 5).all()
