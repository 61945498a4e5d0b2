"""What the comparison found: for each encoder its size, speed and shares right, with intervals over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from scipy.stats import t as student

from flows.compare.cases import MODES
from flows.compare.flow import Case

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A mean over seeds, and where the mean of many more would lie."""

    mean: float
    low: float
    """Of Student's interval at CONFIDENCE, cut at 0; nan where there is one seed alone."""
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
    images: dict[str, int]
    """Mode -> images that it saw in the same time."""
    right: dict[str, Share]
    """Mode -> share of pictures right in everything, for captions never trained on."""
    attributes: dict[str, dict[str, float]]
    """Mode -> attribute -> mean share of pictures right in that."""
    pretrained: dict[str, float]
    """What the pretrained encoder can do by itself, by name."""
    emoji: Share | None
    """Share of emoji found by their names; None where there were none."""


def interval(values: Sequence[float]) -> Share:
    """Mean and Student's interval over seeds."""
    mean, count = fmean(values), len(values)
    if count < 2:
        return Share(mean, math.nan, math.nan, count)
    half = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * stdev(values) / math.sqrt(count)
    return Share(mean, max(0.0, mean - half), min(1.0, mean + half), count)


def rows(cases: Iterable[Case]) -> list[Row]:
    """A row for each encoder, in the order in which they were compared."""
    kinds: dict[str, list[Case]] = {}
    for case in cases:
        kinds.setdefault(case.kind, []).append(case)
    return [_row(kind, held) for kind, held in kinds.items()]


def undecided(found: Sequence[Row], mode: str) -> list[str]:
    """Encoders whose interval overlaps the best one's, the best one first; it alone where it is decided."""
    ranked = sorted(found, key=lambda row: -row.right[mode].mean)
    best = ranked[0].right[mode]
    return [row.kind for row in ranked if row is ranked[0] or not row.right[mode].decided(best)]


def _row(kind: str, held: Sequence[Case]) -> Row:
    by = {mode: [case for case in held if case.mode == mode] for mode in (*MODES, "pretrained", "emoji")}
    oracles = {mode: [case.report["oracle"] for case in by[mode]] for mode in MODES}
    attributes = {
        mode: {
            name: fmean(one[name] for one in oracles[mode]) for name in oracles[mode][0] if name != "samples"
        }
        for mode in MODES
    }
    emoji = [float(case.report["understanding"]["r_at_1"]) for case in by["emoji"]]
    return Row(
        kind,
        int(by["random"][0].pace["parameters"]["text"]),
        {mode: float(by[mode][0].pace["images_per_second"]) for mode in MODES},
        {mode: by[mode][0].images for mode in MODES},
        {mode: interval([float(one["all"]) for one in oracles[mode]]) for mode in MODES},
        attributes,
        _means([case.report["understanding"] for case in by["pretrained"]]),
        interval(emoji) if emoji else None,
    )


def _means(reports: Sequence[dict[str, Any]]) -> dict[str, float]:
    numbers = [name for name, value in reports[0].items() if isinstance(value, int | float)]
    return {name: fmean(float(report[name]) for report in reports) for name in numbers}
