import math

import torch

from sdmodel.evaluate.neighbours import CHUNK, nearest_classes


def angles(*degrees: float) -> torch.Tensor:
    radians = torch.tensor(degrees) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], 1)


def test_the_nearest_by_angle_vote_whatever_their_length():
    known = angles(0, 10, 90, 100) * torch.tensor([1.0, 50.0, 2.0, 0.1])[:, None]
    labels = torch.tensor([2, 2, 0, 0])
    assert nearest_classes(known, labels, angles(5, 95, -40) * 7, 3, k=2).tolist() == [2, 0, 2]


def test_a_near_one_outweighs_several_far_ones():
    # exp(cos / T): exp(1 / .07) against 3 exp(cos 60 / .07).
    known, labels = angles(0, 60, 60, 60), torch.tensor([1, 0, 0, 0])
    assert nearest_classes(known, labels, angles(0), 2).tolist() == [1]
    # At a high temperature they count alike.
    assert nearest_classes(known, labels, angles(0), 2, temperature=100).tolist() == [0]


def test_chunks_and_few_known_rows_change_nothing():
    generator = torch.Generator().manual_seed(0)
    known, rows = (torch.randn(n, 8, generator=generator) for n in (7, CHUNK + 5))
    labels = torch.randint(4, (7,), generator=generator)
    whole = nearest_classes(known, labels, rows, 4)
    assert torch.equal(whole[CHUNK:], nearest_classes(known, labels, rows[CHUNK:], 4))
    assert torch.equal(nearest_classes(known, labels, known, 4, k=1), labels)
