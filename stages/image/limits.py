"""Limits of a picture's size, as data: one rule serves Python, where a file is decoded, and SQL, where a
table has the sizes of pictures that were."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stages.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """Limits that a picture must keep to; plain data, so that they can be sent to other processes."""

    min_side: int
    """Pixels of the shorter side."""
    max_pixels: int
    """Width times height."""
    max_aspect: float
    """Longer side over shorter side."""
    max_bytes: int
    drop_blank: bool
    """Whether pictures of a single colour are refused, see `stages.image.verdict.BLANK_RANGE`."""


@dataclass(frozen=True)
class Size:
    """What rules measure of a picture, in Python; `SIZES` is the same in SQL."""

    width: int
    height: int
    length: int
    """Bytes."""

    @property
    def shorter(self) -> int:
        return min(self.width, self.height)

    @property
    def longer(self) -> int:
        return max(self.width, self.height)

    @property
    def pixels(self) -> int:
        return self.width * self.height


SIZES = """
SELECT *, least(width, height) AS shorter, greatest(width, height) AS longer, width::BIGINT * height AS pixels
"""


@dataclass(frozen=True)
class SizeRule:
    """What refuses a picture: a measure beyond its limit, which may be in units of another measure."""

    reason: Reason
    key: str
    """Field of `ImageLimits`."""
    measure: Literal["shorter", "longer", "pixels", "length"]
    beyond: Literal["<", ">"]
    unit: Literal["", "shorter"] = ""

    @property
    def condition(self) -> str:
        """The rule in SQL, over `SIZES`; the limit is parameter `key`."""
        return f"{self.measure} {self.beyond} ${self.key}" + (f" * {self.unit}" if self.unit else "")

    def refuses(self, size: Size, limits: ImageLimits) -> bool:
        """Whether a picture of this size is refused."""
        limit = getattr(limits, self.key) * (getattr(size, self.unit) if self.unit else 1)
        return {"<": operator.lt, ">": operator.gt}[self.beyond](getattr(size, self.measure), limit)

    def detail(self, size: Size) -> str:
        """What was measured, in words."""
        if self.measure == "length":
            return f"{size.length} bytes"
        # The shorter first: a header has the stored order only, and a picture must get the same words always.
        return f"sides of {size.shorter} and {size.longer} pixels"


SIDE_RULES = (
    SizeRule(Reason.TOO_SMALL, "min_side", "shorter", "<"),
    SizeRule(Reason.TOO_LARGE, "max_pixels", "pixels", ">"),
    SizeRule(Reason.TOO_ELONGATED, "max_aspect", "longer", ">", unit="shorter"),
)
BYTE_RULES = (SizeRule(Reason.TOO_MANY_BYTES, "max_bytes", "length", ">"),)


def refusal(rules: Iterable[SizeRule], size: Size, limits: ImageLimits) -> SizeRule | None:
    """The first rule that refuses a picture of this size; None where it is within all limits."""
    return next((rule for rule in rules if rule.refuses(size, limits)), None)
