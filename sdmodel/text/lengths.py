"""How long captions are, in tokens: how many an encoder reads where the config does not say it, and what is
truncated then."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Count = Callable[[Sequence[str]], Sequence[int]]
"""Captions -> tokens of each, start and end among them, uncut."""

LEAST, MOST, STEP = 32, 256, 8
"""Tokens that are read of a caption where they are chosen by the data: from, to, in steps of."""
FITTING = 0.99
"""Share of the captions that are then read whole, unless MOST cuts them."""
COUNTED = 100_000
"""Captions, at most, that are counted, evenly spread over all."""


class CaptionReader(Protocol):
    """A text encoder, as far as captions can be too long for it."""

    length: int
    """Tokens read of a caption."""

    def count(self, captions: Sequence[str]) -> Sequence[int]:
        """Tokens of each caption, start and end among them, uncut."""
        ...


@dataclass(frozen=True)
class Truncation:
    """Truncation: what is cut of some captions that are longer than an encoder reads."""

    captions: int
    """That were counted."""
    cut: int
    """Of them, those with more tokens than are read."""
    longest: int = 0
    """Tokens of the longest; 0 where that is not known."""

    @classmethod
    def of(cls, counts: Sequence[int], length: int) -> "Truncation":
        """Of captions with so many tokens each, of which `length` are read."""
        return cls(len(counts), sum(count > length for count in counts), max(counts, default=0))

    @classmethod
    def total(cls, parts: Iterable[Mapping[str, Any]]) -> "Truncation":
        """Of all captions, from the fields of each part of them; an empty part says nothing."""
        return sum((cls(**part) for part in parts if part), cls(0, 0))

    def __add__(self, other: "Truncation") -> "Truncation":
        return Truncation(
            self.captions + other.captions, self.cut + other.cut, max(self.longest, other.longest)
        )

    def message(self, length: int, remedy: str) -> str:
        """A sentence and what to do, for people; empty where nothing is cut."""
        if not self.cut:
            return ""
        longest = f"; the longest has {self.longest:,}" if self.longest else ""
        return (
            f"{self.cut / self.captions:.1%} of {self.captions:,} captions have more than the {length} "
            f"tokens that are read of one, and are cut{longest}. {remedy}"
        )


def token_counts(tokenizer: Any, captions: Sequence[str]) -> list[int]:
    """Tokens that a tokenizer of transformers makes of each caption, uncut."""
    ids = tokenizer(list(captions), truncation=False, verbose=False)["input_ids"] if captions else []
    return [len(row) for row in ids]


def spread_sample(captions: Sequence[str]) -> Sequence[str]:
    """At most COUNTED of them, evenly spread."""
    return captions[:: math.ceil(len(captions) / COUNTED) or 1]


def fitting_length(count: Count, captions: Sequence[str]) -> int:
    """Tokens to read of a caption: as many as FITTING of the captions have at most, rounded up to a multiple
    of STEP, from LEAST to MOST."""
    counts = sorted(count(spread_sample(captions)))
    most = counts[math.ceil(FITTING * len(counts)) - 1] if counts else 0
    return min(MOST, max(LEAST, -(-most // STEP) * STEP))


def truncation_warnings(readers: Sequence[CaptionReader], captions: Sequence[str], remedy: str) -> list[str]:
    """Warnings of captions that are cut, a sentence or two for each encoder, for people."""
    some = spread_sample(captions)
    cuts = [(Truncation.of(reader.count(some), reader.length), reader.length) for reader in readers]
    return [words for cut, length in cuts if (words := cut.message(length, remedy))]
