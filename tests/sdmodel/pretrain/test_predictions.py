"""Predictions and their judges, against torch's own functions."""

import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence
from torch.nn import functional as F

from sdmodel.pretrain.predictions import (
    Predictions,
    count_constant_right,
    count_flips,
    count_right,
    cross_entropy,
    divergence,
)


def classes(logits: torch.Tensor, known: list[list[bool]]) -> Predictions:
    truth = torch.tensor([[0, 2], [1, 1], [2, 0]])
    return Predictions(logits, truth, torch.tensor(known), torch.tensor(known), torch.tensor(1))


def tags(logits: torch.Tensor) -> Predictions:
    truth = torch.tensor([[[1.0, 0, 1, 0]], [[0.0, 0, 0, 0]]])
    there = torch.ones(2, 1, dtype=torch.bool)
    return Predictions(logits, truth, there, torch.tensor([[True], [False]]), torch.tensor([1.0, 1, 0, 0]))


def test_errors_are_means_over_a_row_s_known_places():
    logits = torch.randn(3, 2, 4, requires_grad=True)
    answer = classes(logits, [[True, True], [False, True], [False, False]])
    told = cross_entropy(answer)
    torch.testing.assert_close(told[0], F.cross_entropy(logits[0], answer.truth[0]))
    torch.testing.assert_close(told[1], F.cross_entropy(logits[1, 1], answer.truth[1, 1]))
    assert told[2] == 0
    told[2].backward()
    assert logits.grad is not None
    assert not logits.grad.any()

    wide = torch.randn(2, 1, 4)
    found = cross_entropy(tags(wide))
    torch.testing.assert_close(
        found[0], F.binary_cross_entropy_with_logits(wide[0], torch.tensor([[1.0, 0, 1, 0]]))
    )
    assert found[1] == 0


def test_divergence_is_kullback_and_leibler_s_and_none_from_itself():
    one, other = torch.randn(2, 3, 2, 4)
    known = [[True, True], [True, True], [True, False]]
    pair = classes(one, known), classes(other, known)
    expected = kl_divergence(Categorical(logits=one), Categorical(logits=other))  # (B, P)
    torch.testing.assert_close(divergence(*pair)[:2], expected[:2].mean(1))
    torch.testing.assert_close(divergence(*pair)[2], expected[2, 0])
    assert not divergence(pair[0], pair[0]).any()
    one, other = torch.randn(2, 2, 1, 4)
    expected = kl_divergence(Bernoulli(logits=one), Bernoulli(logits=other)).mean((1, 2))
    torch.testing.assert_close(divergence(tags(one), tags(other)), expected)


def test_counts_are_of_known_places_and_of_each_tag():
    logits = F.one_hot(torch.tensor([[0, 2], [1, 0], [0, 0]]), 4).float()
    answer = classes(logits, [[True, True], [True, True], [True, False]])
    assert count_right([answer]).tolist() == [3, 5]
    assert count_constant_right([answer]).tolist() == [2, 5]
    other = classes(logits.roll(1, -1), [[True, True], [True, True], [True, False]])
    assert count_flips([answer], [other]).tolist() == [5, 5]
    assert count_flips([answer, answer], [answer, other]).tolist() == [5, 10]
    found = tags(torch.tensor([[[1.0, -1, -1, -1]], [[1.0, 1, 1, 1]]]))
    assert count_right([found]).tolist() == [3, 4]
    assert count_constant_right([found]).tolist() == [2, 4]
