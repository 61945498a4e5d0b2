"""Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): who gets a larger budget."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from flows.study.config import HalvingConfig, StudyConfig
from flows.study.results import CaseResult

Cell = tuple[str, str]
"""Variant and arm."""


def rungs(halving: HalvingConfig, cells: int) -> list[tuple[float, int]]:
    """(share of the budget, how many variants and arms take part) of each rung; the last has the whole."""
    taking_part: list[tuple[float, int]] = []
    for left in reversed(range(halving.rungs)):
        taking_part.append((halving.factor**-left, cells))
        cells = math.ceil(cells / halving.factor)
    return taking_part


def survivors(study: StudyConfig, results: Sequence[CaseResult]) -> set[Cell]:
    """The best 1/factor of variants and arms, rounded up, by a rung's means over seeds; of equals those that
    come first."""
    halving = study.halving
    measure = next(each for each in study.measures if each.name == halving.measure)
    sign = -1 if measure.better == "higher" else 1
    means = {
        cell: fmean(result.figures[measure.figure] for result in results if result.cell == cell)
        for cell in _cells(results)
    }
    ranked = sorted(means, key=lambda cell: sign * means[cell])
    return set(ranked[: math.ceil(len(ranked) / halving.factor)])


def _cells(results: Iterable[CaseResult]) -> list[Cell]:
    return list(dict.fromkeys(result.cell for result in results))
