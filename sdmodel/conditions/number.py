"""A condition that is a number of a picture, such as a quality score."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from sdmodel.condition import ConditionValues
from sdmodel.conditions.interface import Placement, RowValues
from sdmodel.conditions.vector import NumbersCondition
from sdmodel.config.conditions import NumberColumnConfig
from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index
from sdmodel.data.reader import Augmentations

KIND = "number"


@dataclass(frozen=True)
class NumberLayout:
    """How a column's numbers lie."""

    name: str
    guidance: float
    mean: float
    deviation: float
    least: float
    """Of the rows that were learned from; no smaller number can be asked for."""
    most: float
    """The same, no larger one."""

    @classmethod
    def learn(cls, config: NumberColumnConfig, index: Index) -> Self:
        """Of the rows to learn from. ValueError: the column holds no numbers, or a single one."""
        numbers = _numbers(index, config.column)
        known = numbers[~np.isnan(numbers)]
        if not len(known) or known.min() == known.max():
            what = f"only {known[0]:g}" if len(known) else "no number"
            raise ValueError(
                f"conditions.numbers: pictures to learn from have {what} in {config.column!r}, of which "
                "nothing can be learned; leave it out"
            )
        mean, deviation = float(known.mean()), float(known.std())
        return cls(config.column, config.guidance, mean, deviation, float(known.min()), float(known.max()))

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        """What `described` wrote."""
        return cls(**{key: value for key, value in raw.items() if key != "kind"})

    def described(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": KIND, **asdict(self)}

    def rows(self, index: Index, data: DataConfig) -> RowValues:
        """Values (B, 1) float32, as `parse`."""
        table = self._values(_numbers(index, self.name))

        def values(rows: np.ndarray, shape: tuple[int, int], augmentations: Augmentations) -> ConditionValues:
            places = torch.from_numpy(rows)
            return ConditionValues(table.values[places], table.present[places])

        return values

    def parse(self, given: Sequence[Any]) -> ConditionValues:
        """Values (B, 1) float32, in deviations from the mean. ValueError: one is no number, or outside of
        what was learned from."""
        return self._values(np.array([self._parsed(value) for value in given], np.float64))

    def build(self, placement: Placement) -> NumbersCondition:
        """Its module."""
        return NumbersCondition(self, placement, 1)

    def _parsed(self, value: Any) -> float:
        if value is None:
            return math.nan
        number = _number(value)
        if not self.least <= number <= self.most:
            raise ValueError(
                f"condition {self.name!r} takes a number from {self.least:g} to {self.most:g}, as pictures "
                f"had that were learned from, not {str(value)[:100]!r}"
            )
        return number

    def _values(self, numbers: np.ndarray) -> ConditionValues:
        present = ~np.isnan(numbers)
        standard = np.where(present, (numbers - self.mean) / self.deviation, 0.0).astype(np.float32)
        return ConditionValues(torch.from_numpy(standard)[:, None], torch.from_numpy(present))


def _numbers(index: Index, column: str) -> np.ndarray:
    """(N,) float64, NaN where a row has none. ValueError: a text is no number."""
    numbers = np.array(
        [math.nan if value in (None, "") else _number(value) for value in index.columns[column]]
    )
    if (wrong := np.isinf(numbers)).any() or not len(numbers):
        raise ValueError(
            f"conditions.numbers: {column!r} holds "
            f"{str(index.columns[column][int(wrong.argmax())])[:100]!r}, which is no finite number"
        )
    return numbers


def _number(value: Any) -> float:
    """Infinity where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.inf
