import pytest
import torch

from sdmodel.evaluate.frechet import frechet_distance, gaussian_distance


def test_of_gaussians_that_commute_it_is_the_closed_form():
    # Of diagonal covariances: |difference of means|^2 + sum of (difference of deviations)^2.
    mu_1, mu_2 = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 2.0, 0.5])
    s_1, s_2 = torch.tensor([1.0, 3.0, 0.0]), torch.tensor([2.0, 0.5, 4.0])
    expected = float((mu_1 - mu_2).square().sum() + (s_1 - s_2).square().sum())
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double())[0]
    sigma_1, sigma_2 = (turn @ s.double().square().diag() @ turn.T for s in (s_1, s_2))
    assert gaussian_distance(mu_1, sigma_1, mu_2, sigma_2) == pytest.approx(expected, abs=1e-6)


def test_of_two_dimensions_that_do_not_commute_it_is_the_closed_form():
    # Of 2 x 2 matrices tr M^1/2 = (tr M + 2 det(M)^1/2)^1/2; M = sigma_1 sigma_2 has the same eigenvalues.
    sigma_1 = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    sigma_2 = torch.tensor([[1.0, -0.3], [-0.3, 3.0]])
    product = sigma_1 @ sigma_2
    cross = (product.trace() + 2 * product.det().sqrt()).sqrt()
    expected = float(sigma_1.trace() + sigma_2.trace() - 2 * cross)
    nought = torch.zeros(2)
    assert gaussian_distance(nought, sigma_1, nought, sigma_2) == pytest.approx(expected, rel=1e-6)


def test_of_few_rows_of_many_features_it_is_finite_and_0_of_the_same():
    rows = torch.randn(5, 64, generator=torch.Generator().manual_seed(0)) * 100
    assert frechet_distance(rows, rows.flip(0)) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(rows, rows + 1) == pytest.approx(64, rel=1e-4)
    assert frechet_distance(rows, rows[:3]) > 0
    with pytest.raises(ValueError, match="2 rows or more, and there are 1"):
        frechet_distance(rows, rows[:1])
