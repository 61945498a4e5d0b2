"""The losses against their papers' sums, closed forms, and a formula that does not hold."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.selfsupervised.masked_patches import chosen, hidden_patches, masked_error
from sdmodel.selfsupervised.nt_xent import nt_xent
from sdmodel.selfsupervised.rotation import rotation_error, turned
from sdmodel.selfsupervised.supervised_contrastive import UNLABELLED, supervised_contrastive
from sdmodel.selfsupervised.tower import build

LABELS = torch.tensor([0, 1, 0, UNLABELLED, UNLABELLED, 1, 0])


def vectors(rows: int, width: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    z = torch.randn(2 * rows, width, generator=torch.Generator().manual_seed(seed))
    first, second = F.normalize(z, dim=-1).chunk(2)
    return first, second


def alone(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    return supervised_contrastive(first, second, torch.arange(len(first)), temperature)


def test_nt_xent_is_the_paper_s_sum():
    first, second = vectors(3)
    z, terms = torch.cat([first, second]), list[Tensor]()
    for i in range(6):
        others = torch.stack([(z[i] @ z[k] / 0.2).exp() for k in range(6) if k != i])
        terms.append(-((z[i] @ z[(i + 3) % 6] / 0.2).exp() / others.sum()).log())
    torch.testing.assert_close(nt_xent(first, second, 0.2), torch.stack(terms).mean())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = nt_xent(first, second, 0.2)
    assert torch.equal(mixed, nt_xent(first, second, 0.2))


def test_the_supervised_loss_is_the_paper_s_sum():
    first, second = vectors(7)
    z, labels, terms = torch.cat([first, second]), LABELS.repeat(2).tolist(), list[Tensor]()
    for i in range(14):
        others = torch.stack([(z[i] @ z[a] / 0.3).exp() for a in range(14) if a != i]).sum()
        positives = [
            p
            for p in range(14)
            if p != i and (p % 7 == i % 7 or (labels[p] == labels[i] and labels[i] != UNLABELLED))
        ]
        assert len(positives) == {0: 5, 1: 3, UNLABELLED: 1}[labels[i]]
        terms.append(-torch.stack([((z[i] @ z[p] / 0.3).exp() / others).log() for p in positives]).mean())
    loss = supervised_contrastive(first, second, LABELS, 0.3)
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = supervised_contrastive(first, second, LABELS, 0.3)
    assert torch.equal(mixed, loss)


def test_with_a_label_for_each_row_or_none_it_is_nt_xent():
    first, second = vectors(6)
    none = torch.full((6,), UNLABELLED)
    torch.testing.assert_close(alone(first, second, 0.2), nt_xent(first, second, 0.2))
    without = supervised_contrastive(first, second, none, 0.2)
    torch.testing.assert_close(without, nt_xent(first, second, 0.2))


@pytest.mark.parametrize("loss", [nt_xent, alone])
@pytest.mark.parametrize("rows", [2, 9])
def test_of_equal_features_each_other_view_is_as_likely(loss: Callable[..., Tensor], rows: int):
    same = torch.ones(rows, 4) / 2
    assert loss(same, same, 0.5).item() == pytest.approx(math.log(2 * rows - 1), rel=1e-6)


def test_of_opposite_pairs_it_is_the_closed_form():
    # Both views of a picture are alike and the two pictures opposite: e^(1/T) of e^(1/T) + 2 e^(-1/T).
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    expected = math.log(1 + 2 * math.exp(-2 / 0.5))
    assert nt_xent(z, z, 0.5).item() == pytest.approx(expected, rel=1e-5)
    # Of one label the opposite picture is two of three positives: log of the sum, less the logits' mean.
    logits = (1 / 0.5 - 2 / 0.5) / 3
    sum_of = math.log(math.exp(1 / 0.5) + 2 * math.exp(-1 / 0.5))
    one_label = supervised_contrastive(z, z, torch.zeros(2, dtype=torch.long), 0.5)
    assert one_label.item() == pytest.approx(sum_of - logits, rel=1e-5)


def separated_means(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """-log(mean exp(s+ / T)) - log(1 - mean exp(s- / T)), s the cosines of all pairs of a batch, s+ those of
    equal labels: a formula in circulation for a contrastive loss."""
    cosines = F.normalize(z, dim=-1) @ F.normalize(z, dim=-1).T
    same = labels[:, None] == labels
    positive, negative = (cosines[pairs] / temperature for pairs in (same, ~same))
    return -positive.exp().mean().log() - (1 - negative.exp().mean()).log()


def test_separated_means_of_exponentials_are_no_loss_and_ours_are():
    """exp(s / T) is above 1 for every cosine above 0, as features behind a ReLU have, so that the second
    logarithm is of a number below 0."""
    torch.manual_seed(0)
    encoder, labels = build(SelfSupervisedConfig(width=4)), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    features = [encoder(torch.rand(8, 3, 32, 32) * 2 - 1) for _ in range(2)]
    assert separated_means(features[0], labels, 0.5).isnan()
    first, second = (F.normalize(z, dim=-1) for z in features)
    for loss in (nt_xent(first, second, 0.5), supervised_contrastive(first, second, labels, 0.5)):
        (gradient,) = torch.autograd.grad(loss, features[0], retain_graph=True)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_a_view_is_not_its_own_positive():
    """In the other formula the diagonal is: of pictures that are all different it is all that the positive
    term has, and nothing is learned of it."""
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    cosines = F.normalize(z, dim=-1) @ F.normalize(z, dim=-1).T
    positive = -(cosines.diagonal() / 0.5).exp().mean().log()
    assert torch.autograd.grad(positive, z)[0].abs().max() < 1e-6
    # Ours is least where both views are alike, and knows how far they are from it.
    first, second = vectors(8)
    assert nt_xent(first, first, 0.5) < nt_xent(first, second, 0.5)


def test_rows_hide_patches_of_their_own_as_many_as_the_share_says():
    u = torch.rand(500, 16, generator=torch.Generator().manual_seed(0))
    seen, hidden = hidden_patches(u, 0.75)
    assert seen.shape == (500, 4)
    assert hidden.shape == (500, 12)
    assert torch.equal(torch.cat([seen, hidden], 1).sort(1).values, torch.arange(16).expand(500, -1))
    share = F.one_hot(hidden, 16).sum((0, 1)) / 500
    assert (share - 0.75).abs().max() < 0.08
    assert not torch.equal(hidden[0], hidden[1])
    alone_again = hidden_patches(u[3:4], 0.75)[1]
    assert torch.equal(alone_again, hidden[3:4])
    for extreme, count in ((0.01, 1), (0.99, 15)):
        assert hidden_patches(u, extreme)[1].shape[1] == count
    rows = torch.arange(2 * 3 * 4).view(2, 3, 4)
    assert torch.equal(chosen(rows, torch.tensor([[2], [0]])), torch.stack([rows[0, 2:], rows[1, :1]]))


def test_what_is_given_back_is_measured_in_each_patch_s_own_terms():
    patches = torch.tensor([[[1.0, 3.0], [5.0, 5.0]]])
    root = math.sqrt(2)  # the deviation of 1 and 3, of which one is free
    perfect = torch.tensor([[[-1 / root, 1 / root], [0.0, 0.0]]])
    assert masked_error(perfect, patches).item() == pytest.approx(0, abs=1e-6)
    assert masked_error(torch.zeros(1, 2, 2), patches).item() == pytest.approx(0.25, rel=1e-4)
    brighter = masked_error(perfect, 3 * patches + 7)
    assert brighter.item() == pytest.approx(0, abs=1e-6)


def test_turned_pictures_are_told_by_their_turn():
    images = torch.arange(2 * 3 * 4).float().view(2, 3, 2, 2)
    four = turned(images)
    assert torch.equal(four[:2], images)
    assert torch.equal(four[2:4], images.transpose(2, 3).flip(2))
    assert torch.equal(four[4:6], images.flip(2, 3))
    sure = torch.eye(4).repeat_interleave(2, 0) * 50
    assert [value.item() for value in rotation_error(sure)] == pytest.approx([0, 1])
    assert rotation_error(torch.zeros(8, 4))[0].item() == pytest.approx(math.log(4))
