import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sdmodel.contrastive.loss import contrastive_loss, own_cosines


def features(rows: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


NO_FOILS = (torch.zeros(6, 0), torch.zeros(6, 0, dtype=torch.bool))
SCALE = torch.tensor(5.0)


def test_the_loss_is_that_of_open_clip():
    image, text = features(6, 0), features(6, 1)
    ours = contrastive_loss(image, text, SCALE, torch.eye(6, dtype=torch.bool), *NO_FOILS)
    torch.testing.assert_close(ours, open_clip.ClipLoss()(image, text, SCALE))


def test_equal_captions_are_no_negatives_of_each_other():
    image, text = features(6, 0), features(6, 1)
    text[3] = text[0]
    image[3] = image[0]
    same = torch.eye(6, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True
    loss = contrastive_loss(image, text, SCALE, same, *NO_FOILS)
    logits = 5 * image @ text.T
    row = logits[0, [0, 1, 2, 4, 5]]
    expected = row.logsumexp(0) - row[0]
    assert loss < contrastive_loss(image, text, SCALE, torch.eye(6, dtype=torch.bool), *NO_FOILS)
    per_row = F.cross_entropy(
        logits.masked_fill(same & ~torch.eye(6, dtype=torch.bool), -torch.inf),
        torch.arange(6),
        reduction="none",
    )
    torch.testing.assert_close(per_row[0], expected)


def test_foils_are_negatives_where_there_are_some():
    image, text = features(6, 0).requires_grad_(), features(6, 1)
    scale = SCALE.clone().requires_grad_()
    same, foils = torch.eye(6, dtype=torch.bool), (image * features(6, 2)).sum(-1, keepdim=True)
    plain = contrastive_loss(image, text, scale, same, *NO_FOILS)
    harder = contrastive_loss(image, text, scale, same, foils, torch.zeros(6, 1, dtype=torch.bool))
    without = contrastive_loss(image, text, scale, same, foils, torch.ones(6, 1, dtype=torch.bool))
    assert harder > plain
    assert without.item() == pytest.approx(plain.item())
    without.backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in (image, scale))


def test_under_autocast_it_is_that_of_full_precision():
    image, text, foils = features(6, 0), features(6, 1), features(18, 2).view(6, 3, 8)
    same, none = torch.eye(6, dtype=torch.bool), torch.zeros(6, 3, dtype=torch.bool)

    def loss() -> Tensor:
        return contrastive_loss(image, text, SCALE, same, own_cosines(image, foils), none)

    with torch.autocast("cpu", torch.bfloat16):
        found = loss()
    assert torch.equal(found, loss())
