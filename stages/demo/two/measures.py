"""What is asked of a picture of the world of two, from words alone to the order of words."""

from collections.abc import Callable, Hashable

from stages.demo.two.world import TwoGroupAttributes


def _groups(scene: TwoGroupAttributes) -> frozenset[tuple[str, str, str]]:
    first = (scene.first_count, scene.first_colour, scene.first_shape)
    return frozenset((first, (scene.second_count, scene.second_colour, scene.second_shape)))


MEASURES: dict[str, Callable[[TwoGroupAttributes], Hashable]] = {
    "shape": lambda scene: frozenset((scene.first_shape, scene.second_shape)),
    "colour": lambda scene: frozenset((scene.first_colour, scene.second_colour)),
    "count": lambda scene: tuple(sorted((scene.first_count, scene.second_count))),
    "relation": lambda scene: (scene.relation, scene.first_colour, scene.second_colour),
    "binding": _groups,
    "all": lambda scene: scene,
}
"""Measure -> the part of a scene that must be right for it.

"shape", "colour", "count": the two that were named are there, whichever group has them; a bag of words tells
them. "relation": side by side or one above the other as said, with the two colours in their places.
"binding": each group has its own count, colour and shape, wherever it stands. "all": everything at once."""


def right(shown: TwoGroupAttributes, described: TwoGroupAttributes) -> dict[str, bool]:
    """Measure -> whether a picture that shows a scene is right for the scene that its caption describes."""
    return {name: part(shown) == part(described) for name, part in MEASURES.items()}
