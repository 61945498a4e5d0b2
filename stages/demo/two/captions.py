"""Captions of the world of two: a relation said from either side, in words that tell nothing without their
order.

A count is never told by a noun's ending or a verb's ("one circle shape" beside "two ring shapes", and no "is"
or "are"): exchanging two shapes, colours or counts leaves the very same words.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

from stages.demo.two.world import (
    ATTRIBUTES,
    COUNTS,
    VALUES,
    TwoGroupAttributes,
    draw_attributes,
    held_out,
    is_scene,
)

TRAINING_PHRASINGS: tuple[str, ...] = (
    "{a} {where} {b}",
    "a picture of {a} {where} {b}",
    "this picture shows {a}, {where} {b}",
    "{a}, {where} {b}",
    "we see {a} placed {where} {b}",
    "{where} {b}, {a}",
    "{a} placed {where} {b}",
    "{where} {b} we see {a}",
)
"""What training captions look like: {a} stands {where} {b}. Every word of NOVEL_PHRASINGS is among theirs.

Most name {a} first: were both orders as frequent, neither the order alone nor the relation's word alone would
say anything of the places, as in an exclusive or. (With both alike frequent a transformer of width 64 that
began with nothing, learned jointly, drew 9 % right after 36,000 pictures; at 16,000 the two ways are alike, 1
%.)"""

NOVEL_PHRASINGS: tuple[str, ...] = (
    "this picture shows {a} placed {where} {b}",
    "this picture shows, {where} {b}, {a}",
    "a picture: {a}, {where} {b}",
    "we see, {where} {b}, {a}",
)
"""Never used in training: they ask whether a model has learned the words or the sentences."""

SIDES: dict[str, tuple[str, bool]] = {
    "left of": ("left of", True),
    "right of": ("left of", False),
    "above": ("above", True),
    "below": ("above", False),
}
"""How a relation is said -> (the relation, whether {a} is the first group)."""


def caption(attributes: TwoGroupAttributes, phrasing: int, turned: bool = False) -> str:
    """The caption in phrasing number `phrasing`: training's first, then novel ones.

    `turned` says it from the second group's side: "right of" and "below". ValueError for a phrasing that does
    not exist.
    """
    phrasings = TRAINING_PHRASINGS + NOVEL_PHRASINGS
    if not 0 <= phrasing < len(phrasings):
        raise ValueError(f"phrasing={phrasing}: the world of two has phrasings 0 to {len(phrasings) - 1}")
    first, second = (_group(attributes, name) for name in ("first", "second"))
    a, b = (second, first) if turned else (first, second)
    where = next(words for words, meaning in SIDES.items() if meaning == (attributes.relation, not turned))
    return phrasings[phrasing].format(a=a, b=b, where=where)


def _group(attributes: TwoGroupAttributes, name: str) -> str:
    count, colour, shape = (getattr(attributes, f"{name}_{what}") for what in ("count", "colour", "shape"))
    return f"{count} {colour} {shape} {'shape' if COUNTS[count] == 1 else 'shapes'}"


def _pattern(template: str) -> re.Pattern[str]:
    def alternatives(name: str, values: tuple[str, ...]) -> str:
        return f"(?P<{name}>{'|'.join(values)})"

    def group(name: str) -> str:
        words = (alternatives(f"{name}_{what}", VALUES[what]) for what in ("count", "colour", "shape"))
        return " ".join(words) + f" (?P<{name}_noun>shapes?)"

    slots = {"a": group("a"), "b": group("b"), "where": alternatives("where", tuple(SIDES))}
    return re.compile(template.format(**slots))


_PATTERNS = [_pattern(template) for template in TRAINING_PHRASINGS + NOVEL_PHRASINGS]


def parse(caption: str) -> TwoGroupAttributes | None:
    """The scene that a caption describes; None where it is no sentence of this world.

    Letters' case, spaces at the ends and a full stop are no matter.
    """
    text = caption.strip().removesuffix(".").lower()
    for pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            return _attributes_of(match)
    return None


def _attributes_of(match: re.Match[str]) -> TwoGroupAttributes | None:
    relation, straight = SIDES[match["where"]]
    first, second = ("a", "b") if straight else ("b", "a")
    for name in (first, second):
        if (match[f"{name}_noun"] == "shape") != (COUNTS[match[f"{name}_count"]] == 1):
            return None
    groups = {
        f"{place}_{what}": match[f"{name}_{what}"]
        for place, name in (("first", first), ("second", second))
        for what in ("count", "colour", "shape")
    }
    attributes = TwoGroupAttributes(relation=relation, **groups)
    return attributes if is_scene(attributes) else None


def scenes() -> Iterator[TwoGroupAttributes]:
    """Every combination of this world, training's and held-out ones, in a fixed order."""
    names = [name.split("_")[-1] for name in ATTRIBUTES]
    for values in itertools.product(*(VALUES[name] for name in names)):
        drawn = TwoGroupAttributes(*values)
        if is_scene(drawn):
            yield drawn


def swapped(attributes: TwoGroupAttributes, what: str) -> TwoGroupAttributes:
    """The scene with one thing exchanged between the groups, "count", "colour" or "shape"."""
    first, second = f"first_{what}", f"second_{what}"
    return replace(attributes, **{first: getattr(attributes, second), second: getattr(attributes, first)})


def unseen(n: int, seed: int) -> list[tuple[str, TwoGroupAttributes]]:
    """`n` captions in novel phrasings of combinations kept from training, both sides by turns; by the
    seed."""
    drawn = [draw_attributes(seed, index, unseen=True) for index in range(n)]
    novel, known = len(NOVEL_PHRASINGS), len(TRAINING_PHRASINGS)
    return [(caption(each, known + i % novel, i // novel % 2 == 1), each) for i, each in enumerate(drawn)]


__all__ = [
    "NOVEL_PHRASINGS",
    "SIDES",
    "TRAINING_PHRASINGS",
    "caption",
    "held_out",
    "parse",
    "scenes",
    "swapped",
    "unseen",
]
