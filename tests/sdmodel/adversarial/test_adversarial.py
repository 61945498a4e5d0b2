"""A discriminator's losses, its patches, and how much it counts."""

import math

import pytest
import torch
from torch import nn

from sdmodel.adversarial.adaptive_weight import MOST, adaptive_weight
from sdmodel.adversarial.loss import accuracies, hinge, logistic, non_saturating
from sdmodel.adversarial.patchgan import PatchDiscriminator
from sdmodel.config.adversary import PatchAdversaryConfig


def test_losses_are_their_papers():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0, 3.0])
    assert hinge(real, fake).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 4) / 3)
    bce = nn.BCEWithLogitsLoss()
    told = bce(real, torch.ones(3)) + bce(fake, torch.zeros(3))
    torch.testing.assert_close(logistic(real, fake), told)
    torch.testing.assert_close(non_saturating(fake), bce(fake, torch.ones(3)))
    shares = accuracies(real, fake)
    assert shares["real_as_real"].item() == pytest.approx(2 / 3)
    assert shares["fake_as_fake"].item() == pytest.approx(1 / 3)


def test_one_logit_judges_a_patch():
    """Of 34 pixels to a side with two halvings (Isola et al. 2016, appendix 6.1.2), whatever lies outside."""
    torch.manual_seed(0)
    config = PatchAdversaryConfig(channels=4, layers=2)
    discriminator = PatchDiscriminator(config)
    for layer in discriminator.layers:
        if isinstance(layer, nn.GroupNorm):  # which sees all places
            layer.forward = lambda x: x
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    logits = discriminator(images)
    assert logits.shape == (1, 1, 14, 14)
    (gradient,) = torch.autograd.grad(logits[0, 0, 7, 7], images)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == 34
    assert PatchDiscriminator(config)(torch.rand(2, 3, config.least, config.least)).shape[-1] == 1


def test_rows_are_judged_alone():
    discriminator = PatchDiscriminator(PatchAdversaryConfig(channels=8, layers=2))
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(discriminator(images)[1:3], discriminator(images[1:3]))


def test_the_adaptive_weight_is_the_ratio_of_gradients_and_finite():
    layer = nn.Parameter(torch.tensor([1.0, 2.0]))
    error, judged = (layer * torch.tensor([3.0, 4.0])).sum(), (layer * torch.tensor([0.0, 0.5])).sum()
    weight = adaptive_weight(error, judged, layer)
    assert weight.item() == pytest.approx(5 / 0.5, rel=1e-5)
    assert not weight.requires_grad
    (error + judged).backward()  # the graph stays
    flat = adaptive_weight((layer * 1e9).sum(), (layer * 0.0).sum(), layer)
    assert flat.item() == MOST
    assert math.isfinite(adaptive_weight((layer * 0).sum(), (layer * 0).sum(), layer).item())
