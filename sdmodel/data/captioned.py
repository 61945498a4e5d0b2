"""Pictures without a caption: which objectives leave them out, and the message about it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from sdmodel.config.train import CAPTIONED, WORDLESS, TrainConfig
from sdmodel.data.index import Index


def captioned(index: Index) -> Index:
    """The rows with a caption, in the index's order. ValueError: there is none."""
    rows = np.flatnonzero([bool(captions) for captions in index.captions])
    if len(rows) == len(index):
        return index
    if not len(rows):
        raise ValueError(
            f"none of {len(index)} pictures has a caption, and there is nothing to learn from captions; "
            'objectives "autoencoder" and "selfsupervised" do without'
        )
    chosen = {column.name: _rows(getattr(index, column.name), rows, len(index)) for column in fields(index)}
    return replace(index, **chosen)


def trained_on(index: Index, config: TrainConfig) -> Index:
    """The rows that an objective learns from. ValueError: there is none."""
    return captioned(index) if config.objective in CAPTIONED else index


def without_caption(captions: Sequence[Sequence[str]], config: TrainConfig) -> tuple[int, str]:
    """How many rows have no caption, and what becomes of them, in a sentence; empty where nothing need be
    reported."""
    rows, empty = len(captions), sum(len(own) == 0 for own in captions)
    if not empty or config.objective in WORDLESS:
        return empty, ""
    begin = f"{empty:,} of {rows:,} pictures to train on have no caption"
    if config.objective in CAPTIONED:
        return empty, f"{begin} and are left out: objective {config.objective} learns from captions."
    hint = ""
    if 2 * empty > rows and config.data.uncaptioned == 1:
        hint = (
            " Each caption is then seen seldom; data.uncaptioned below 1 shows those without one less often."
        )
    return empty, f"{begin}: they are learned without one, as caption dropout does.{hint}"


def _rows(values: Any, rows: np.ndarray, count: int) -> Any:
    """Those of a column with `count` values, or of each of several by name; anything else as it is."""
    if isinstance(values, dict):
        return {name: _rows(column, rows, count) for name, column in values.items()}
    if isinstance(values, np.ndarray) and len(values) == count:
        return values[rows]
    return [values[row] for row in rows.tolist()] if isinstance(values, list) else values
