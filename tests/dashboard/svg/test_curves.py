import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from dashboard.results.metrics import Curves, Panel, Series
from dashboard.svg.curves import draw_curves, linear_ticks, log_ticks, short_number


def series(values: list[float], name: str = "loss") -> Series:
    array = np.asarray(values, np.float64)
    return Series(name, np.arange(1, len(values) + 1) * 100.0, array, len(values), values[-1], 0.0, 0)


def drawn(values: list[float], curves: Curves | None = None, *, log: bool = False) -> str:
    panel = Panel("loss", [series(values)])
    return str(draw_curves(panel, curves or Curves(len(values), [panel]), log=log, label='a "label" <b>'))


def test_a_line_is_one_path_of_a_well_formed_picture():
    root = ElementTree.fromstring(drawn([3.0, 2.0, 1.0]))
    assert root.get("aria-label") == 'a "label" <b>'
    paths = [each.get("d") or "" for each in root.iter() if "line" in (each.get("class") or "").split()]
    assert [re.sub(r"[-\d. ]", "", path) for path in paths] == ["MLL"]
    assert not [each for each in root.iter() if each.get("style")]  # the policy would drop it


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf])
def test_a_line_ends_where_a_value_is_none(hole: float):
    path = re.findall(r'line" fill="none" d="([^"]*)"', drawn([3.0, 2.0, hole, 1.0, 2.0]))[0]
    assert re.sub(r"[-\d. ]", "", path) == "MLML"


def test_a_line_ends_where_another_training_was_gone_on_with():
    panel = Panel("loss", [series([3.0, 2.0, 1.0])])
    text = str(draw_curves(panel, Curves(3, [panel], (), [200.0], [(0, 16), (200, 32)]), log=False, label=""))
    assert re.sub(r"[-\d. ]", "", re.findall(r'line" fill="none" d="([^"]*)"', text)[0]) == "MLMh"
    assert "went on from here" in text
    assert "32 px" in text


def test_a_logarithmic_scale_leaves_out_what_it_cannot_show():
    path = re.findall(r'line" fill="none" d="([^"]*)"', drawn([1.0, 0.0, 0.1, 0.01], log=True))[0]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    assert len(heights) == 3
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=0.2)
    assert "line" in drawn([0.0, -1.0], log=True)  # nothing is above 0: a linear one


def test_nothing_to_draw_is_said():
    assert "No value of it is a number" in drawn([math.nan])
    assert "line" in drawn([5.0])  # a point alone, and an axis that has no extent


def test_ticks_are_round_and_few():
    assert linear_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert linear_ticks(-3, 130_000) == [0, 50_000, 100_000]
    assert log_ticks(0.03, 2) == [0.05, 0.1, 0.2, 0.5, 1, 2]
    assert log_ticks(1e-9, 1) == [1e-9, 1e-7, 1e-5, 1e-3, 0.1]
    for low, high in ((0, 1e-12), (1e5, 1e5 + 1), (0.999, 1.001), (5, 5)):
        assert 1 <= len(linear_ticks(low, high)) <= 12


def test_numbers_are_short():
    assert [short_number(value) for value in (0, 0.035, 1200, 3e6, 2e-5, math.nan)] == [
        "0", "0.035", "1.2k", "3M", "2e-05", "not a number"
    ]  # fmt: skip
