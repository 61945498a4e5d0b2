import torch

from sdmodel.denoise.time import FEATURES, time_features


def test_features_are_finite_and_tell_times_apart():
    features = time_features(torch.linspace(0, 1, 101))
    assert features.shape == (101, FEATURES)
    assert features.isfinite().all()
    assert torch.cdist(features, features).add(10 * torch.eye(101)).min() > 0.01
