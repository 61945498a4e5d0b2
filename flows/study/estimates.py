"""Means over seeds with confidence intervals, and which differences they decide."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and where the mean of many more would lie."""

    mean: float
    low: float
    """Of the interval; nan where there is one seed alone."""
    high: float
    values: Mapping[int, float]
    """Seed -> value."""
    questions: int = 0
    """That each value of a share is a share of; 0 for figures that are no shares."""


def estimate(values: Mapping[int, float], confidence: float, questions: int = 0) -> Estimate:
    """Mean and interval: Student's t over seeds; of a share the wider of that and Wilson's over questions.

    Three seeds may agree by chance, even to the last picture; they know no more than their questions.

    Args:
        values: by seed, at least one.
        confidence: of the interval, (0, 1).
        questions: that each of a share's values answers; 0: they are no shares.
    """
    mean = fmean(values.values())
    half = _half(list(values.values()), confidence)
    low, high = mean - half, mean + half
    if questions and not math.isnan(half):
        least, most = _wilson(mean, questions * len(values), confidence)
        low, high = max(0.0, min(low, least)), min(1.0, max(high, most))
    return Estimate(mean, low, high, values, questions)


def decided(first: Estimate, second: Estimate, confidence: float, paired: bool) -> bool:
    """Whether two means differ.

    Paired: the interval of the differences seed by seed (Student's t; of shares the wider of that and
    Newcombe's 1998 hybrid score interval, method 10) leaves out 0. Else: the two intervals do not overlap. A
    single seed decides nothing."""
    if not paired:
        return first.high < second.low or second.high < first.low
    differences = [first.values[seed] - second.values[seed] for seed in first.values if seed in second.values]
    if len(differences) < 2:
        return False
    mean, half = fmean(differences), _half(differences, confidence)
    low, high = mean - half, mean + half
    if first.questions and second.questions:
        p, q = first.mean, second.mean
        (p_low, p_high), (q_low, q_high) = (
            _wilson(each.mean, each.questions * len(each.values), confidence) for each in (first, second)
        )
        low = min(low, p - q - math.hypot(p - p_low, q_high - q))
        high = max(high, p - q + math.hypot(p_high - p, q - q_low))
    return low > 0 or high < 0


def rivals(estimates: Mapping[str, Estimate], better: str, confidence: float, paired: bool) -> list[str]:
    """The best by name, and those of which it is not decided that they are worse, in their order."""
    sign = -1 if better == "higher" else 1
    best, *others = sorted(estimates, key=lambda name: sign * estimates[name].mean)
    top = estimates[best]
    return [best, *(name for name in others if not decided(top, estimates[name], confidence, paired))]


def _half(values: list[float], confidence: float) -> float:
    """Half of Student's interval; nan for a single value."""
    from scipy.stats import t as student

    if len(values) < 2:
        return math.nan
    return float(student.ppf((1 + confidence) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def _wilson(share: float, questions: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of so many questions."""
    from scipy.stats import binomtest  # which takes seconds to import

    interval = binomtest(round(share * questions), questions).proportion_ci(confidence, "wilson")
    return float(interval.low), float(interval.high)
