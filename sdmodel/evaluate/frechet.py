"""The Frechet distance of two sets of features, each taken for a Gaussian (Dowson and Landau 1982, equation
4; Heusel et al. 2017, arXiv:1706.08500, equation 6).

It is called FID where the features are Inception's; of other features it is another measure, and figures of
different encoders, sizes or counts of pictures do not compare: few pictures make it larger.
"""

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """The squared distance of the Gaussians with the sets' means and covariances, >= 0.

    first, second: (N, F) and (M, F) features. ValueError: a set has fewer than 2 rows."""
    for rows in (first, second):
        if len(rows) < 2:
            raise ValueError(f"a covariance takes 2 rows or more, and there are {len(rows)}")
    return gaussian_distance(*_moments(first), *_moments(second))


def gaussian_distance(mu_1: Tensor, sigma_1: Tensor, mu_2: Tensor, sigma_2: Tensor) -> float:
    """|mu_1 - mu_2|^2 + tr(sigma_1 + sigma_2 - 2 (sigma_1^1/2 sigma_2 sigma_1^1/2)^1/2), in float64.

    Both roots are of symmetric matrices, so that eigenvalues of symmetric matrices do, which are real; those
    that are nothing but rounding, as of singular covariances, count as 0, since their roots would not be
    small.

    mu_1, mu_2: (F,). sigma_1, sigma_2: (F, F), symmetric, no eigenvalue below 0."""
    values, vectors = torch.linalg.eigh(sigma_1.double())
    root = vectors * _roots(values) @ vectors.T
    product = root @ sigma_2.double() @ root
    cross = _roots(torch.linalg.eigvalsh((product + product.T) / 2)).sum()
    means = (mu_1.double() - mu_2.double()).square().sum()
    return max(0.0, float(means + sigma_1.double().trace() + sigma_2.double().trace() - 2 * cross))


def _roots(eigenvalues: Tensor) -> Tensor:
    """(F,) square roots; 0 of what is within the rounding of the greatest."""
    rounding = eigenvalues.abs().max() * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    return torch.where(eigenvalues > rounding, eigenvalues, 0).sqrt()


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and unbiased covariance (F, F) in float64."""
    rows = features.double()
    return rows.mean(0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])
