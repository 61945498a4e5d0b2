import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from sdmodel.evaluate.probe import DECAY, ROWS, fit_probe, spread_rows


def test_of_a_feature_of_two_values_it_is_the_share_of_each_class():
    # Three quarters of one side are of class 1, a quarter of the other: log odds of +-log 3.
    features = torch.tensor([[5.0, 7.0]] * 4 + [[9.0, 7.0]] * 4)
    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1])
    probe = fit_probe(features, labels, 2, decay=0)
    shares = probe.logits(features).softmax(1)[:, 1]
    torch.testing.assert_close(shares, torch.tensor([0.75] * 4 + [0.25] * 4).double(), rtol=0, atol=1e-5)
    assert not probe.weight[1].any()  # of what never changes nothing is learned


def test_it_is_the_optimum_that_another_solver_reaches():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (60,), generator=generator)
    features = torch.randn(60, 4, generator=generator) + labels[:, None]
    x = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()

    def error(flat):
        weight, bias = flat[:12].reshape(4, 3), flat[12:]
        picked = log_softmax(x @ weight + bias, axis=1)[range(60), labels.numpy()]
        return -picked.mean() + DECAY / 2 * (weight**2).sum()

    best = minimize(error, [0.0] * 15, method="BFGS", options={"gtol": 1e-8}).x
    probe = fit_probe(features, labels, 3)
    assert probe.weight.numpy() == pytest.approx(best[:12].reshape(4, 3), abs=1e-3)
    again = fit_probe(features, labels, 3)
    assert torch.equal(again.weight, probe.weight)


def test_classes_that_are_apart_are_told_and_weights_stay_finite():
    labels = torch.arange(4).repeat(10)
    features = torch.eye(4)[labels] * 100
    probe = fit_probe(features, labels, 5)  # of one class there is no row
    assert torch.equal(probe.logits(features).argmax(1), labels)
    assert probe.weight.isfinite().all()


def test_rows_are_spread_evenly_where_there_are_more_than_it_takes():
    assert spread_rows(3).tolist() == [0, 1, 2]
    assert spread_rows(0).tolist() == []
    rows = spread_rows(3 * ROWS)
    assert (len(rows), rows[0], rows[-1]) == (ROWS, 0, 3 * ROWS - 1)
    assert set((rows[1:] - rows[:-1]).tolist()) <= {3, 4}
