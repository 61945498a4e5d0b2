"""What is asked of a picture of the world of two, from words alone to the order of words."""

from collections.abc import Callable, Hashable

from stages.demo.two.world import Attributes


def _groups(one: Attributes) -> frozenset[tuple[str, str, str]]:
    first = (one.first_count, one.first_colour, one.first_shape)
    return frozenset((first, (one.second_count, one.second_colour, one.second_shape)))


MEASURES: dict[str, Callable[[Attributes], Hashable]] = {
    "shape": lambda one: frozenset((one.first_shape, one.second_shape)),
    "colour": lambda one: frozenset((one.first_colour, one.second_colour)),
    "count": lambda one: tuple(sorted((one.first_count, one.second_count))),
    "relation": lambda one: (one.relation, one.first_colour, one.second_colour),
    "binding": _groups,
    "all": lambda one: one,
}
"""Measure -> the part of a scene that must be right for it.

"shape", "colour", "count": the two that were named are there, whichever group has them; a bag of words tells
them. "relation": side by side or one above the other as said, with the two colours in their places.
"binding": each group has its own count, colour and shape, wherever it stands. "all": everything at once."""


def right(shown: Attributes, said: Attributes) -> dict[str, bool]:
    """Measure -> whether a picture that shows the one scene is right for the other."""
    return {name: part(shown) == part(said) for name, part in MEASURES.items()}
