"""Foils (hard negatives): captions with one word replaced by another that is used in the same place.

Pairs of a batch differ in many ways at once, a foil in one. What that adds to training was not measured for
the
default tower (docs/LOG.md). Which words replace each other is learned from the captions alone: those that
stand between the same two words ("a red circle", "a blue circle"). Some are synonyms; what they teach cancels
out over many images.
"""

from collections.abc import Iterable

import numpy as np


class Foils:
    """Replacements learned from captions."""

    def __init__(self, captions: Iterable[str]):
        between: dict[tuple[str, str], set[str]] = {}
        for caption in captions:
            words = ["", *caption.split(), ""]
            for before, word, after in zip(words, words[1:], words[2:], strict=False):
                between.setdefault((before, after), set()).add(word)
        self._between = {place: sorted(words) for place, words in between.items() if len(words) > 1}

    def of(self, caption: str, count: int, seed: tuple[int, ...]) -> list[str]:
        """`count` captions with one word replaced, a function of (caption, seed); the caption itself where
        none fits."""
        words = ["", *caption.split(), ""]
        places: list[tuple[int, list[str]]] = []
        for at in range(1, len(words) - 1):
            between = self._between.get((words[at - 1], words[at + 1]), [])
            if others := [word for word in between if word != words[at]]:
                places.append((at, others))
        if not places:
            return [caption] * count
        draw = np.random.default_rng(seed)
        foils: list[str] = []
        for _ in range(count):
            at, others = places[draw.integers(len(places))]
            foils.append(" ".join([*words[1:at], others[draw.integers(len(others))], *words[at + 1 : -1]]))
        return foils
