"""Means, intervals, and what is undecided."""

import math

import pytest
from scipy.stats import binomtest, ttest_1samp, ttest_rel

from flows.study.estimates import Estimate, decided, estimate, rivals


def of(*values: float, questions: int = 0) -> Estimate:
    return estimate(dict(enumerate(values)), 0.95, questions)


def test_an_interval_is_students():
    measured = of(0.2, 0.25, 0.4)
    known = ttest_1samp([0.2, 0.25, 0.4], 0).confidence_interval(0.95)
    assert (measured.mean, measured.low, measured.high) == pytest.approx((0.85 / 3, known.low, known.high))
    assert math.isnan(of(0.3).low)  # nothing is known of a single seed's


def test_a_share_stays_one():
    assert of(0.9, 1.0, 0.8, questions=1000).high == 1
    assert of(0.0, 0.1, 0.0, questions=1000).low == 0


def test_seeds_that_agree_know_no_more_than_their_questions():
    share = of(0.5, 0.5, 0.5, questions=20)
    known = binomtest(30, 60).proportion_ci(0.95, "wilson")
    assert (share.low, share.high) == pytest.approx((known.low, known.high))
    few, more = of(0.0, 0.0, questions=100), of(0.01, 0.01, questions=100)
    assert not decided(few, more, 0.95, paired=False)
    assert not decided(few, more, 0.95, paired=True)


@pytest.mark.parametrize("shift", [0.05, 0.4])
def test_seeds_in_pairs_are_compared_by_their_differences(shift: float):
    first, second = [0.1, 0.5, 0.9], [0.1 + shift, 0.52 + shift, 0.89 + shift]
    expected = ttest_rel(first, second).pvalue < 0.05
    assert decided(of(*first), of(*second), 0.95, paired=True) == expected
    assert not decided(of(*first), of(*second), 0.95, paired=False)  # seeds differ by more than arms


def test_what_is_not_told_apart_from_the_best_is_its_rival():
    estimates = {"rnn": of(0.10, 0.11, 0.12), "cnn": of(0.49, 0.50, 0.51), "gru": of(0.50, 0.51, 0.52)}
    assert rivals(estimates, "higher", 0.95, paired=False) == ["gru", "cnn"]
    assert rivals(estimates, "lower", 0.95, paired=False) == ["rnn"]


@pytest.mark.parametrize("paired", [True, False])
def test_one_seed_decides_nothing(paired: bool):
    assert rivals({"rnn": of(0.1), "gru": of(0.9)}, "higher", 0.95, paired) == ["gru", "rnn"]
