"""A condition that is the size which a picture came in, and what was cropped off it.

Podell et al. 2023, arXiv:2307.01952, section 2.2: so small pictures need not be thrown away, and neither
their blur nor random crops show in what is drawn. Unlike there, crops are shares of the picture's sides, not
pixels, so that they mean the same at every size; and a picture of unknown size has a learned null.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from sdmodel.condition import ConditionValues
from sdmodel.conditions.interface import Placement, RowValues
from sdmodel.conditions.vector import NumbersCondition
from sdmodel.config.conditions import SIZE, PictureSizeConfig
from sdmodel.config.learning import DataConfig
from sdmodel.data.index import SIZES, Index
from sdmodel.data.pictures import MARGIN
from sdmodel.data.reader import Augmentations

KIND = "size"
ORIGINAL = ["original_height", "original_width"]
"""Columns of the sizes that pictures came in, which an index may have beside `SIZES`."""
PLAIN_SIDE = 256.0
"""Pixels to a side at which its feature is 0; it is 1 at twice that."""
CROP_SCALE = 4.0
"""On shares of a side: Fourier features tell a hundredth apart."""
PERCENTILE = 90
"""Of shorter sides, from which pictures are drawn as if they came in."""


@dataclass(frozen=True)
class PictureSizeLayout:
    """Which sizes were learned from."""

    guidance: float
    least: int
    """Shortest side, pixels."""
    most: int
    """Longest side, pixels."""
    drawn: int
    """Side of the square that pictures are drawn as if they came in, unless told otherwise."""
    name: str = SIZE

    @classmethod
    def learn(cls, config: PictureSizeConfig, index: Index) -> Self:
        """Of the rows to learn from. ValueError: `drawn` is beyond them."""
        sizes = _sizes(index)
        sizes = sizes[~np.isnan(sizes).any(1)]
        if not len(sizes):
            raise ValueError("conditions.size: no picture to learn from has a size; leave it out")
        least, most = int(sizes.min()), int(sizes.max())
        if config.drawn and not least <= config.drawn <= most:
            raise ValueError(
                f"conditions.size.drawn={config.drawn}: sides of the pictures to learn from are {least} to "
                f"{most} pixels; take one of these, or 0"
            )
        drawn = config.drawn or int(np.percentile(sizes.min(1), PERCENTILE))
        return cls(config.guidance, least, most, drawn)

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        """What `described` wrote."""
        return cls(**{key: value for key, value in raw.items() if key != "kind"})

    def described(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": KIND, **asdict(self)}

    def rows(self, index: Index, data: DataConfig) -> RowValues:
        """Values (B, 4) float32, as `parse`, of pictures that are fitted and cropped as `Pictures` does."""
        sizes = _sizes(index)
        stored = sizes if index.sizes is None else index.sizes.astype(np.float64)
        margin = 1 + 1 / MARGIN if data.crop else 1.0

        def values(rows: np.ndarray, shape: tuple[int, int], augmentations: Augmentations) -> ConditionValues:
            present = np.asarray(np.isfinite(sizes[rows]).all(1))
            own = np.where(present[:, None], sizes[rows], 1.0)
            sides = np.where(present[:, None], stored[rows], 1.0)
            cut = _cut(sides, shape, margin, augmentations)
            return _values(own, cut, present)

        return values

    def parse(self, given: Sequence[Any]) -> ConditionValues:
        """Values (B, 4) float32: logarithms of height and width, then shares cut off the top and the left.

        Of each picture (height, width), "WIDTHxHEIGHT" or a number for a square, uncropped; None is the
        square that `drawn` says. ValueError: it is no size, or beyond those that were learned from."""
        sizes = np.array([self._parsed(value) for value in given], np.float64).reshape(-1, 2)
        return _values(sizes, np.zeros_like(sizes), np.ones(len(sizes), bool))

    def build(self, placement: Placement) -> NumbersCondition:
        """Its module."""
        return NumbersCondition(self, placement, 4)

    def _parsed(self, value: Any) -> tuple[float, float]:
        if value is None:
            return self.drawn, self.drawn
        if isinstance(value, str):
            match = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", value.strip())
            sides = (match[2] or match[1], match[1]) if match else ()
        else:
            sides = (value, value) if isinstance(value, int | float) else tuple(value)
        if len(sides) != 2 or not all(self.least <= float(side) <= self.most for side in sides):
            raise ValueError(
                f"condition {self.name!r} takes a size as 512x384, width by height, of sides from "
                f"{self.least} to {self.most} pixels, as pictures had that were learned from; not "
                f"{str(value)[:100]!r}"
            )
        height, width = map(float, sides)
        return height, width


def _values(sizes: np.ndarray, cut: np.ndarray, present: np.ndarray) -> ConditionValues:
    """Of sizes (B, 2), pixels, and shares cut off (B, 2)."""
    logarithms = np.log2(sizes / PLAIN_SIDE)
    numbers = np.concatenate([logarithms, CROP_SCALE * cut], 1).astype(np.float32)
    return ConditionValues(torch.from_numpy(numbers), torch.from_numpy(present))


def _cut(
    sides: np.ndarray, shape: tuple[int, int], margin: float, augmentations: Augmentations
) -> np.ndarray:
    """(B, 2) shares of height and width, [0, 1), that are cut off at the top and at the left of pictures with
    these sides (B, 2), as they are seen: of one that is mirrored, what was at its right.

    margin: a picture is that much larger than what is seen of it, before its random crop."""
    target = np.array(shape, np.float64)
    scale = (sides / target).min(1, keepdims=True)  # pixels of the picture to a pixel of what is seen
    fitted = scale * target / sides  # (B, 2) share of each side that the centre's crop leaves
    seen = fitted / margin
    before = (1 - fitted) / 2 + (fitted - seen) * augmentations.crop
    after = 1 - seen - before
    before[augmentations.mirror, 1] = after[augmentations.mirror, 1]
    return before.clip(0, 1 - math.ulp(1))


def _sizes(index: Index) -> np.ndarray:
    """(N, 2) float64: height and width in which each picture came, NaN where the index does not say."""
    if all(name in index.columns for name in ORIGINAL):
        columns = [index.columns[name] for name in ORIGINAL]
        return np.array([[math.nan if side is None else side for side in column] for column in columns]).T
    assert index.sizes is not None, SIZES  # `build.index_columns` has seen to it
    return index.sizes.astype(np.float64)
