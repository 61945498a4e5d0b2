"""On which split a model is measured: the test split, or what comes nearest to it where that is empty."""

from collections.abc import Iterable

SPLITS = ("test", "validation", "train")
"""In the order in which they are taken."""


def measured_split(splits: Iterable[str]) -> str:
    """The first of `SPLITS` that any row of a dataset is in. ValueError: none is."""
    there = set(splits)
    if not there:
        raise ValueError("evaluate: the dataset has no rows; loosen the filter")
    return next(split for split in SPLITS if split in there)


def notice(split: str, *, given: bool) -> str:
    """What must be said of a split that is not the test split; "" of the test split.

    Args:
        split: on which a model is measured.
        given: it is measured by captions that were given instead, not by those of the split.
    """
    if split == "test":
        return ""
    begin = "The dataset's test split is empty (its share of the clusters is less than one: raise shard.test)"
    if given:
        return f"{begin}: only captions that were given were sampled, none of the dataset's."
    seen = "" if split == "validation" else ", which the model has seen: this tells nothing of new pictures"
    return f"{begin}: figures are of the {split} split instead{seen}."
