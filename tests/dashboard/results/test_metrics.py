import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dashboard.results.metrics import BUCKETS, LOSSES, Curves, read_curves


def curves(rows: Sequence[Mapping[str, float]]) -> Curves:
    return read_curves("".join(json.dumps(row) + "\n" for row in rows).encode())


def test_a_long_training_is_thinned_and_loses_no_extreme():
    losses = np.random.default_rng(0).normal(1, 0.1, 100_000)
    losses[54_321], losses[70_000] = 9.0, -5.0
    (panel,) = curves([{"images": 32 * n, "loss": loss} for n, loss in enumerate(losses.tolist())]).panels
    (series,) = panel.series
    assert len(series.values) <= 2 * BUCKETS + 2
    assert {9.0, -5.0} <= set(series.values.tolist())
    assert (series.rows, series.last, series.least) == (100_000, losses[-1], -5.0)
    assert series.images[0] == 0
    assert series.images[-1] == 32 * 99_999
    assert not panel.positive


def test_what_is_no_number_stays_a_gap_however_much_is_thinned():
    rows = [{"images": n, "loss": math.nan if 50_000 <= n < 50_010 else 1.0} for n in range(100_000)]
    (panel,) = curves(rows).panels
    assert panel.series[0].not_finite == 10
    assert np.isnan(panel.series[0].values).any()
    assert panel.series[0].least == 1.0


def test_measures_have_panels_and_marks_are_no_curves():
    found = curves([
        {"images": 10, "loss": 1.0, "denoising": 1.0, "rate": 0.1, "size": 16, "continued_at": 5},
        {"images": 20, "loss": 0.9, "denoising": 0.9, "rate": 0.1, "size": 16, "validation/raw/mse": 2.0},
        {"images": 30, "loss": 0.8, "denoising": 0.8, "rate": 0.1, "size": 32, "validation/ema/mse": 1.5},
    ])  # fmt: skip
    assert {panel.title: [each.name for each in panel.series] for panel in found.panels} == {
        LOSSES: ["denoising"],
        "rate": ["rate"],
        "validation: mse": ["validation/raw/mse", "validation/ema/mse"],
    }
    assert [each.name for each in found.others] == ["loss"]
    assert list(found.continued_at) == [5]
    assert list(found.sizes) == [(0.0, 16), (20.0, 32)]


def test_a_file_that_is_being_written_has_the_rows_that_are_whole():
    found = read_curves(b'{"images": 1, "loss": 2}\nnull\n{"images": 2, "loss": 1}\n{"images": 3, "lo')
    assert (found.rows, found.damaged) == (2, 2)
    assert found.panels[0].series[0].values.tolist() == [2, 1]
    assert read_curves(b"").panels == []


def test_rows_out_of_order_are_sorted():
    found = curves([{"images": 20, "loss": 1.0}, {"images": 10, "loss": 2.0}])
    assert found.panels[0].series[0].images.tolist() == [10, 20]
