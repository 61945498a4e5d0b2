"""Sampling weights: how often each picture is to be seen in an epoch."""

import numpy as np

from sdmodel.config.learning import DataConfig
from sdmodel.data.index import Index


def sampling_weights(index: Index, data: DataConfig) -> np.ndarray | None:
    """(N,) float64, at least 0: multiplicity ** data.copies, times the weight's column, and for pictures
    without a caption times data.uncaptioned; None: each once.

    ValueError: the index has no multiplicity, or weights that cannot be."""
    if not data.copies and not data.weight and data.uncaptioned == 1:
        return None
    expected = np.ones(len(index))
    if data.copies:
        if index.multiplicity is None:
            raise ValueError(
                f"data.copies={data.copies}: the index has no column 'multiplicity'; set data.copies=0, or "
                "make the dataset anew"
            )
        expected *= index.multiplicity**data.copies
    if data.weight:
        if index.weight is None:
            raise ValueError(f"data.weight={data.weight!r} was not read from the index")
        expected *= index.weight
    expected[[not captions for captions in index.captions]] *= data.uncaptioned
    if not (np.isfinite(expected).all() and (expected >= 0).all() and expected.any()):
        worst = index.uids[int(np.argmax(~np.isfinite(expected) | (expected < 0)))]
        raise ValueError(
            f"data.weight={data.weight!r}, data.copies={data.copies}, data.uncaptioned={data.uncaptioned:g}: "
            "a picture is seen a finite number of times, not below 0, and some picture is seen at all; look "
            f"at {worst}"
        )
    return expected
