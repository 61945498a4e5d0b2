"""A condition that is a class, or any number of tags, of a picture."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sdmodel.condition import ConditionValues
from sdmodel.conditions.interface import Placement, RowValues
from sdmodel.conditions.vector import VectorCondition
from sdmodel.config.conditions import ClassColumnConfig
from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index
from sdmodel.data.reader import Augmentations

KIND = "class"
LISTED = 12
"""Classes that a message names."""


@dataclass(frozen=True)
class ClassLayout:
    """The classes of a column."""

    name: str
    guidance: float
    classes: tuple[str, ...]
    """Sorted; a class's number is its place."""
    tags: bool
    """Whether a picture may have any number of them."""

    @classmethod
    def learn(cls, config: ClassColumnConfig, index: Index) -> Self:
        """The classes of the rows to learn from. ValueError: the column holds something else, or nothing."""
        rows = _rows(index, config.column)
        classes = {label for row in rows if row is not None for label in row}
        if not classes:
            raise ValueError(
                f"conditions.columns: no picture to learn from has a value in {config.column!r}; leave it "
                "out, or bring labels"
            )
        tags = any(isinstance(value, list) for value in index.columns[config.column])
        return cls(config.column, config.guidance, tuple(sorted(classes)), tags)

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        """What `described` wrote."""
        return cls(raw["name"], raw["guidance"], tuple(raw["classes"]), raw["tags"])

    def described(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": KIND, **asdict(self)}

    def rows(self, index: Index, data: DataConfig) -> RowValues:
        """Values (B, M) int64, as `parse`; a class that was not learned is as none."""
        labels = [self._known(row) for row in _rows(index, self.name)]
        table = self._table(labels)

        def values(rows: np.ndarray, shape: tuple[int, int], augmentations: Augmentations) -> ConditionValues:
            places = torch.from_numpy(rows)
            return ConditionValues(table.values[places], table.present[places])

        return values

    def parse(self, given: Sequence[Any]) -> ConditionValues:
        """Values (B, M) int64, numbers of classes, then -1: of a class "circle", of tags ["round", "red"] or
        "round,red", which M is the most of. ValueError: one is not known, or there are several of a class."""
        return self._table([self._parsed(value) for value in given])

    def build(self, placement: Placement) -> "ClassCondition":
        """Its module."""
        return ClassCondition(self, placement)

    def _parsed(self, value: Any) -> list[str] | None:
        if value is None:
            return None
        if self.tags and isinstance(value, str) and value not in self.classes:
            value = [part.strip() for part in value.split(",") if part.strip()]
        labels = [value] if isinstance(value, str) else list(value)
        if not self.tags and len(labels) != 1:
            raise ValueError(f"condition {self.name!r} takes one class a picture, not {labels}")
        for label in labels:
            if label not in self.classes:
                near = get_close_matches(str(label), self.classes, LISTED) or self.classes[:LISTED]
                more = f" and {len(self.classes) - len(near)} more" if len(self.classes) > len(near) else ""
                raise ValueError(
                    f"condition {self.name!r} has no class {str(label)[:100]!r}; it knows "
                    f"{', '.join(map(repr, near))}{more}"
                )
        return labels

    def _known(self, row: list[str] | None) -> list[str] | None:
        """None of a row whose classes are all unknown; no tags at all are known to be none."""
        if row is None:
            return None
        known = [label for label in row if label in self._places]
        return known if known or not row else None

    @property
    def _places(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.classes)}

    def _table(self, rows: Sequence[list[str] | None]) -> ConditionValues:
        places = self._places
        most = max([1, *(len(row) for row in rows if row)])
        numbers = torch.full((len(rows), most), -1, dtype=torch.int64)
        for row, labels in zip(numbers, rows, strict=True):
            for column, label in enumerate(labels or ()):
                row[column] = places[label]
        return ConditionValues(numbers, torch.tensor([row is not None for row in rows], dtype=torch.bool))


class ClassCondition(VectorCondition):
    """A vector for each class; that of several tags is their mean, of none at all zeros, which is not the
    null."""

    def __init__(self, layout: ClassLayout, placement: Placement):
        super().__init__(layout, placement)
        self.embedding = nn.Embedding(len(layout.classes), placement.width)

    def nothing(self) -> ConditionValues:
        """Of one row."""
        return ConditionValues(torch.full((1, 1), -1), torch.zeros(1, dtype=torch.bool))

    def vector(self, values: Tensor) -> Tensor:
        """Numbers of classes (B, M) int64, -1 is none, to (B, W)."""
        there = (values >= 0)[..., None]
        vectors = self.embedding(values.clamp(min=0)) * there  # (B, M, W)
        return vectors.sum(1) / there.sum(1).clamp(min=1)


def _rows(index: Index, column: str) -> list[list[str] | None]:
    """Labels of each row, None where nothing is said. ValueError: they are no texts."""
    rows: list[list[str] | None] = []
    for value in index.columns[column]:
        labels = value if isinstance(value, list) else [value]
        if not all(label is None or isinstance(label, str) for label in labels):
            raise ValueError(
                f"conditions.columns: {column!r} holds {type(labels[0]).__name__}; classes are texts, tags "
                "lists of texts; numbers go into conditions.numbers"
            )
        named = list(dict.fromkeys(label for label in labels if label))
        rows.append(named if named or value == [] else None)
    return rows
