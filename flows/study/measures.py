"""Where a measure's figure comes from, and the values that are known without a training."""

from collections.abc import Callable, Mapping
from typing import Any

from stages.config.evaluate import EvaluateConfig

PATH = r"(evaluation|train|pace)(\.[^.]+)+"
"""Of a figure: in report.json of the evaluation, in the model's statistics, or in pace.json."""
PATH_MEANING = 'a path that begins with "evaluation.", "train." or "pace."'


def figure_of(documents: Mapping[str, Any], path: str) -> float:
    """The number at a path of keys, as evaluation.oracle.all.

    ValueError: there is none; names what is there."""
    place: Any = documents
    keys = path.split(".")
    for depth, key in enumerate(keys):
        if not isinstance(place, Mapping) or key not in place:
            known = (
                ", ".join(map(str, place)) if isinstance(place, Mapping) else f"{place!r}, which has no keys"
            )
            raise ValueError(
                f"figure {path}: {'.'.join(keys[:depth])} has no {key}; it has {known or 'nothing'}"
            )
        place = place[key]
    if isinstance(place, bool) or not isinstance(place, int | float):
        raise ValueError(f"figure {path} is no number: {str(place)[:80]}")
    return float(place)


def bag_of_words(config: EvaluateConfig) -> dict[str, float]:
    """Shares right that no reader of bags of words (captions without their order) can pass on the captions
    that the oracle of two groups asks for, by attribute and for "all"."""
    from stages.demo.two.captions import unseen
    from stages.demo.two.ceiling import ceilings

    return ceilings([caption for caption, _ in unseen(config.oracle_samples, config.seed)])


REFERENCES: Mapping[str, Callable[[EvaluateConfig], Mapping[str, float]]] = {"bag-of-words": bag_of_words}
"""Known values by name: a function from the evaluation's config to values by the last word of a figure's
path."""
