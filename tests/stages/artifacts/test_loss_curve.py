"""The thinned curve of a training at work."""

import json
import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stages.artifacts.loss_curve import POINTS, LossCurve, curves_of_rows


def curve(*points: tuple[int, float]) -> LossCurve:
    made = LossCurve()
    for images, value in points:
        made.add(images, value)
    return made


def test_a_short_one_is_whole():
    assert curve((8, 0.5), (16, math.nan), (24, 0.25)).points == ((8, 0.5), (16, None), (24, 0.25))


@given(st.integers(1, 3000), st.integers(1, 512))
def test_a_long_one_is_bounded_and_spans_all_of_the_training(reports: int, batch: int):
    points = curve(*((batch * report, report / reports) for report in range(1, reports + 1))).points
    assert min(reports, POINTS // 2) <= len(points) <= POINTS
    assert (points[0][0], points[-1]) == (batch, (batch * reports, 1.0))
    images = [place for place, _ in points]
    assert images == sorted(set(images))


def test_it_is_as_fine_at_the_beginning_as_at_the_end():
    images = [place for place, _ in curve(*((report, 0.0) for report in range(100_000))).points]
    gaps = [after - before for before, after in pairwise(images[:-1])]
    assert max(gaps) <= 4 * min(gaps)


def test_what_was_learned_after_a_checkpoint_that_it_went_back_to_is_dropped():
    assert curve((8, 0.5), (16, 0.4), (24, 0.3), (16, 0.45)).points == ((8, 0.5), (16, 0.45))


def test_a_training_that_goes_on_has_what_was_reported_before():
    rows = [
        {"images": 8, "loss": 0.5, "rate": 0.1},
        {"images": 16, "loss": 0.4, "validation/ema/mse": 0.7, "validation/ema/loss": 0.9},
        {"images": 24, "loss": 0.3, "validation/ema/loss": 0.8},
    ]
    curves = curves_of_rows(json.dumps(row) for row in rows)
    assert curves["loss"].points == ((8, 0.5), (16, 0.4), (24, 0.3))
    assert curves["validation"].points == ((16, 0.7), (24, 0.8))
