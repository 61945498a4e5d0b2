"""What the comparison makes of reports: means, intervals, what is undecided."""

from typing import Any

import pytest
from scipy.stats import binomtest, ttest_1samp

from flows.compare.cases import MODES, Case
from flows.compare.figures import Share, interval, rivals, rows


def case(kind: Any, mode: str, seed: int, right: float = 0.5) -> Case:
    if mode in ("pretrained", "emoji"):
        return Case(
            kind, mode, seed, 640, {}, {"understanding": {"r_at_1": right, "rows": 900, "split": "test"}}
        )
    pace = {"images_per_second": 100.0, "parameters": {"text": 7, "network": 9}}
    oracle = {"all": right, "shape": 2 * right, "clean": 1.0, "samples": 800}
    return Case(kind, mode, seed, 64, pace, {"oracle": oracle})


def cases(kind: str, shares: list[float]) -> list[Case]:
    made = [
        case(kind, mode, seed, share) for seed, share in enumerate(shares) for mode in (*MODES, "pretrained")
    ]
    return [*made, *(case(kind, "emoji", seed, share) for seed, share in enumerate(shares))]


def test_an_interval_is_students():
    values = [0.2, 0.25, 0.4]
    share = interval(values, 1000)
    known = ttest_1samp(values, 0).confidence_interval(0.95)
    assert share.mean == pytest.approx(sum(values) / 3)
    assert (share.low, share.high) == pytest.approx((max(known.low, 0), min(known.high, 1)))
    assert interval([0.9, 1.0, 0.8], 1000).high == 1
    one = interval([0.3], 1000)
    assert (one.mean, one.count) == (0.3, 1)
    assert one.low != one.low  # nothing is known of it


def test_a_row_has_all_of_an_encoder():
    (row,) = rows(cases("lstm", [0.2, 0.3, 0.4]))
    assert (row.kind, row.parameters) == ("lstm", 7)
    assert row.speed == dict.fromkeys(MODES, 100.0)
    assert row.right["joint"].mean == pytest.approx(0.3)
    assert row.attributes["frozen"] == pytest.approx({"all": 0.3, "shape": 0.6, "clean": 1.0})
    assert row.pretrained["r_at_1"] == pytest.approx(0.3)
    assert row.emoji
    assert row.emoji.count == 3


def test_seeds_that_agree_know_no_more_than_their_questions_tell():
    share = interval([0.5, 0.5, 0.5], 20)
    known = binomtest(30, 60).proportion_ci(0.95, "wilson")
    assert (share.low, share.high) == pytest.approx((known.low, known.high))
    assert not interval([0.0, 0.0], 100).decided(interval([0.01, 0.01], 100))


def test_what_overlaps_the_best_one_is_undecided():
    found = {
        "rnn": Share(0.11, 0.09, 0.13, 3),
        "cnn": Share(0.50, 0.48, 0.52, 3),
        "gru": Share(0.51, 0.49, 0.53, 3),
    }
    assert rivals(found) == ["gru", "cnn"]
    assert rivals({"rnn": found["rnn"], "gru": found["gru"]}) == ["gru"]


def test_one_seed_decides_nothing():
    found = rows([*cases("rnn", [0.1]), *cases("gru", [0.9])])
    assert [row.kind for row in found] == ["gru", "rnn"]  # the best first
    assert rivals({row.kind: row.right["joint"] for row in found}) == ["gru", "rnn"]
