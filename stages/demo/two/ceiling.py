"""What a reader of bags of words can reach in the world of two at best."""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from stages.demo.two.captions import NOVEL_PHRASINGS, TRAINING_PHRASINGS, caption, parse, scenes
from stages.demo.two.measures import MEASURES
from stages.demo.two.world import TwoGroupAttributes

Bag = tuple[str, ...]


def bag(caption: str) -> Bag:
    """The multiset of a caption's words, sorted; punctuation left out."""
    return tuple(sorted(re.findall(r"\w+", caption.lower())))


@functools.cache
def _scenes_of() -> dict[Bag, Counter[TwoGroupAttributes]]:
    """Bag -> how often each scene is described by captions with these words, among all captions of the
    world."""
    counts: dict[Bag, Counter[TwoGroupAttributes]] = defaultdict(Counter)
    for scene in scenes():
        for phrasing in range(len(TRAINING_PHRASINGS) + len(NOVEL_PHRASINGS)):
            for turned in (False, True):
                counts[bag(caption(scene, phrasing, turned))][scene] += 1
    return dict(counts)


def ceilings(captions: Sequence[str]) -> dict[str, float]:
    """Measure -> the share right of the best reader who knows the world but not the order of words.

    All captions of the world are grouped by their multiset of words; a reader who knows which scenes a group
    may mean, and how often, gets the most frequent answer right. The share expected for `captions` is the
    mean of their groups' shares, exact, not estimated from the captions given, each of which may be alone in
    its group.

    Raises:
        ValueError: no captions, or one that the world of two does not write.
    """
    if not captions:
        raise ValueError("captions: a ceiling needs at least one caption")
    total = dict.fromkeys(MEASURES, 0.0)
    for text in captions:
        meant = _scenes_of().get(bag(text)) if parse(text) else None
        if meant is None:
            raise ValueError(f"caption {text!r} is not of the world of two: its ceiling is not known")
        for name, share in _shares(bag(text)).items():
            total[name] += share
    return {name: value / len(captions) for name, value in total.items()}


def ceiling(captions: Sequence[str]) -> float:
    """`ceilings` for "all": everything right at once, [0, 1]."""
    return ceilings(captions)["all"]


@functools.cache
def _shares(words: Bag) -> dict[str, float]:
    meant = _scenes_of()[words]
    shares: dict[str, float] = {}
    for name, part in MEASURES.items():
        answers: Counter[Hashable] = Counter()
        for scene, times in meant.items():
            answers[part(scene)] += times
        shares[name] = max(answers.values()) / meant.total()
    return shares
