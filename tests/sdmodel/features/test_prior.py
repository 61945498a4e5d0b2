"""The feature prior draws features like those that it learned, of the caption that it is told of."""

from dataclasses import replace

import torch
from torch import Tensor

from sdmodel.data.batch import Batch
from sdmodel.features.prior import FeaturePrior

F = 8


def features(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Of two kinds, each of its own mean and covariance, with mean 0 and variance 1 over the channels; and
    which kind, (N, 2)."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(2, (rows,), generator=generator)
    basis = torch.randn(2, 3, F, generator=torch.Generator().manual_seed(3))
    mean = 2 * torch.randn(2, F, generator=torch.Generator().manual_seed(4))
    drawn = mean[kind] + (torch.randn(rows, 1, 3, generator=generator) @ basis[kind])[:, 0]
    told = torch.nn.functional.one_hot(kind, 2).float()
    return torch.nn.functional.layer_norm(drawn, (F,)), told


def batch(number: int, rows: int) -> Batch:
    return Batch(
        images=torch.zeros(rows, 3, 1, 1),
        captions=[""] * rows,
        uids=[""] * rows,
        index=torch.arange(rows) + number * rows,
        size=rows,
        start=0,
        images_seen=number * rows,
    )


def test_drawn_features_have_mean_and_covariance_of_those_learned_caption_by_caption():
    torch.manual_seed(0)
    prior = FeaturePrior(F, 2, 64, 2)
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)
    for number in range(500):
        optimizer.zero_grad()
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - number / 500)
        loss = prior.loss(*features(256, 100 + number), batch(number, 256)).mean()
        loss.backward()
        optimizer.step()
    real, told = features(4000, 1)
    drawn = prior.draw(torch.randn(4000, F, generator=torch.Generator().manual_seed(2)), told)
    for kind in range(2):
        mine, theirs = drawn[told[:, kind] > 0], real[told[:, kind] > 0]
        torch.testing.assert_close(mine.mean(0), theirs.mean(0), rtol=0, atol=0.12)
        torch.testing.assert_close(mine.T.cov(), theirs.T.cov(), rtol=0, atol=0.12)


def test_a_row_is_drawn_of_its_own_noise_and_caption_and_learned_from_without_a_gradient():
    torch.manual_seed(0)
    prior = FeaturePrior(F, 2, 16, 1)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    noise, (real, told) = torch.randn(3, F), features(3, 1)
    drawn = prior.draw(noise, told)
    torch.testing.assert_close(prior.draw(noise[1:2], told[1:2])[0], drawn[1])
    assert not torch.allclose(prior.draw(noise, 1 - told), drawn)
    real.requires_grad_(), told.requires_grad_()
    whole = prior.loss(real, told, batch(0, 3))
    whole.sum().backward()
    assert real.grad is None
    assert told.grad is None
    assert all(parameter.grad is not None for parameter in prior.parameters())
    part = replace(batch(0, 3), size=3).micro_batch(2, 3)
    torch.testing.assert_close(prior.loss(real[2:], told[2:], part)[0], whole[2])
