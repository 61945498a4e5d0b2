import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdmodel.evaluate.regression import error_sums, figures


def pair(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, 3, 4, 5, generator=generator) + 2
    return target + 0.5 * torch.randn(target.shape, generator=generator), target


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 99), st.data())
def test_parts_add_up_to_what_numpy_finds_in_the_whole(
    rows: int, levels: int, seed: int, data: st.DataObject
):
    estimate, target = pair(rows, seed)
    level = torch.tensor(data.draw(st.lists(st.integers(0, levels - 1), min_size=rows, max_size=rows)))
    cut = data.draw(st.integers(1, rows - 1))
    parts = [error_sums(estimate[p], target[p], level[p], levels) for p in (slice(cut), slice(cut, None))]
    found = figures({name: parts[0][name] + parts[1][name] for name in parts[0]})
    spans = {"": np.ones(rows, bool)}
    if levels > 1:
        spans |= {f"@{i}": level.numpy() == i for i in range(levels)}
    assert {name.partition("@")[2] for name in found} == {
        span.strip("@") for span, mine in spans.items() if mine.any()
    }
    for span, mine in spans.items():
        if mine.any():
            error, wanted = (
                (estimate - target).numpy()[mine].astype(float),
                target.numpy()[mine].astype(float),
            )
            mse = np.mean(error**2)
            expected = {
                "mse": mse,
                "rmse": mse**0.5,
                "mae": np.abs(error).mean(),
                "r2": 1 - mse / wanted.var(),
            }
            assert {name: found[name + span] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_r2_is_1_when_all_is_found_0_for_the_mean_and_untold_where_nothing_varies():
    _, target = pair(4, 0)
    level = torch.zeros(4, dtype=torch.int64)
    assert figures(error_sums(target, target, level, 1))["r2"] == 1
    mean = torch.full_like(target, target.double().mean().item())
    assert figures(error_sums(mean, target, level, 1))["r2"] == pytest.approx(0, abs=1e-6)
    assert "r2" not in figures(error_sums(target, torch.full_like(target, 0.3), level, 1))


def test_what_is_not_finite_stays_in_its_level():
    estimate, target = pair(4, 1)
    estimate[0] = torch.nan
    found = figures(error_sums(estimate, target, torch.tensor([0, 1, 1, 1]), 2))
    assert np.isnan(found["mse@0"])
    assert found["mse@1"] < 1
