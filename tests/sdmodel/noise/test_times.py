import torch

from sdmodel.noise.times import logit_normal


def test_the_logit_is_normal():
    u = (torch.arange(10_001) + 0.5) / 10_001
    logit = torch.logit(logit_normal(u, -0.6, 1.6).double())
    assert abs(logit.median() + 0.6) < 1e-3
    assert abs(logit.std() - 1.6) < 5e-3


def test_both_ends_are_finite():
    t = logit_normal(torch.tensor([0.0, 1.0]), -0.6, 1.6)
    assert (t > 0).all()
    assert (t < 1).all()
