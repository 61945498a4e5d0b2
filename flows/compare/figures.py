"""What the comparison found: for each encoder its size, speed and shares right, with intervals over seeds."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy.stats import binomtest
from scipy.stats import t as student

from flows.compare.cases import MODES, Case

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A mean over seeds, and where the mean of many more would lie."""

    mean: float
    low: float
    """Of the interval at CONFIDENCE; nan where there is one seed alone."""
    high: float
    count: int
    """Seeds."""

    def decided(self, other: "Share") -> bool:
        """Whether the intervals tell the two apart."""
        return self.high < other.low or other.high < self.low


@dataclass(frozen=True)
class Row:
    """What was found of one encoder."""

    kind: str
    parameters: int
    """Of the text encoder and of what reads it for the denoiser."""
    speed: dict[str, float]
    """Mode -> images per second of the whole model's training."""
    right: dict[str, Share]
    """Mode -> share of pictures right in everything, for captions never trained on."""
    attributes: dict[str, dict[str, float]]
    """Mode -> attribute -> mean share of pictures right in that."""
    pretrained: dict[str, float]
    """What the pretrained encoder can do by itself, by name."""
    emoji: Share | None
    """Share of emoji found by their names; None where there were none."""

    @property
    def best(self) -> float:
        """Share right in everything of its best mode."""
        return max(share.mean for share in self.right.values())


def interval(values: Sequence[float], asked: int) -> Share:
    """A share over seeds; the wider of two intervals: Student's of the seeds, Wilson's of all questions.

    Three seeds may agree by chance, even to the last picture; they know no more than their questions tell.

    Args:
        values: a share for each seed.
        asked: questions that each of them answers.
    """
    mean, count = fmean(values), len(values)
    if count < 2:
        return Share(mean, math.nan, math.nan, count)
    half = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * stdev(values) / math.sqrt(count)
    total = asked * count
    wilson = binomtest(round(mean * total), total).proportion_ci(CONFIDENCE, "wilson")
    return Share(
        mean,
        max(0.0, min(mean - half, float(wilson.low))),
        min(1.0, max(mean + half, float(wilson.high))),
        count,
    )


def rows(cases: Iterable[Case]) -> list[Row]:
    """A row for each encoder, the best first."""
    kinds: dict[str, list[Case]] = {}
    for case in cases:
        kinds.setdefault(case.kind, []).append(case)
    return sorted((_row(kind, held) for kind, held in kinds.items()), key=lambda row: -row.best)


def rivals(shares: dict[str, Share]) -> list[str]:
    """The best by name, and those that are not told apart from it, in their order."""
    ranked = sorted(shares, key=lambda name: -shares[name].mean)
    best = shares[ranked[0]]
    return [name for name in ranked if name == ranked[0] or not shares[name].decided(best)]


def _row(kind: str, held: Sequence[Case]) -> Row:
    by = {mode: [case for case in held if case.mode == mode] for mode in (*MODES, "pretrained", "emoji")}
    oracles = {mode: [case.report["oracle"] for case in by[mode]] for mode in MODES}
    attributes = {
        mode: {
            name: fmean(one[name] for one in oracles[mode]) for name in oracles[mode][0] if name != "samples"
        }
        for mode in MODES
    }
    emoji = [case.report["understanding"] for case in by["emoji"]]
    return Row(
        kind,
        int(by["random"][0].pace["parameters"]["text"]),
        {mode: float(by[mode][0].pace["images_per_second"]) for mode in MODES},
        {mode: _share(oracles[mode], "all", lambda one: one["samples"]) for mode in MODES},
        attributes,
        _means([case.report["understanding"] for case in by["pretrained"]]),
        _share(emoji, "r_at_1", lambda one: one["rows"]) if emoji else None,
    )


def _share(reports: Sequence[dict[str, Any]], name: str, asked: Callable[[dict[str, Any]], int]) -> Share:
    return interval([float(one[name]) for one in reports], asked(reports[0]))


def _means(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    numbers = [name for name, value in reports[0].items() if isinstance(value, int | float)]
    return {name: fmean(float(report[name]) for report in reports) for name in numbers}
