import pytest
import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.data.batch import Batch
from sdmodel.diffusion.denoising_errors import LEVELS, level_errors, level_of
from sdmodel.evaluate.regression import figures

DEVIATION = 0.5


def batch(rows: int, start: int = 0, end: int | None = None) -> Batch:
    """Rows of a global batch of normally distributed images."""
    images = DEVIATION * torch.randn(rows, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mine = images[start:end]
    names = [str(i) for i in range(len(mine))]
    index = torch.arange(rows)[start:end]
    return Batch(images=mine, captions=names, uids=names, index=index, size=rows, start=start)


def condition(rows: int) -> Condition:
    return Condition(torch.zeros(rows, 1), torch.zeros(rows, 1, 1), torch.ones(rows, 1, dtype=torch.bool))


def best(x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
    """E[x_0 | x_t] for such images."""
    t = t.view(-1, 1, 1, 1)
    return t * DEVIATION**2 / ((t * DEVIATION) ** 2 + (1 - t) ** 2) * x_t


def sums(rows: Batch) -> dict[str, Tensor]:
    return level_errors(best, rows.images, condition(len(rows)), rows)


def test_the_best_denoiser_has_the_error_that_theory_gives():
    """The posterior variance s^2 (1-t)^2 / (t^2 s^2 + (1-t)^2), as a mean over times."""
    found = figures(sums(batch(1024)))
    t = (torch.arange(80_000, dtype=torch.float64) + 0.5) / 80_000
    error = (DEVIATION * (1 - t)) ** 2 / ((t * DEVIATION) ** 2 + (1 - t) ** 2)
    assert found["mse"] == pytest.approx(error.mean().item(), rel=0.02)
    for level, part in enumerate(error.chunk(LEVELS)):
        assert found[f"mse@{level}"] == pytest.approx(part.mean().item(), rel=0.06)
    assert found["r2"] == pytest.approx(1 - found["mse"] / DEVIATION**2, abs=0.01)


def test_processes_share_the_sums():
    whole, halves = sums(batch(16)), [sums(batch(16, 0, 6)), sums(batch(16, 6, 16))]
    for name, value in whole.items():
        torch.testing.assert_close(halves[0][name] + halves[1][name], value)
    assert whole["count"].tolist() == [2 * 3 * 8 * 8] * LEVELS  # stratified: as many rows in each


def test_every_time_has_a_level():
    assert level_of(torch.tensor([0, 0.124, 0.125, 0.99, 1])).tolist() == [0, 0, 1, 7, 7]
