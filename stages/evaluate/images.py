"""The pictures that a model is measured on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact


def index_of(dataset: Artifact, split: str) -> Any:
    """sdmodel's index of a split."""
    from sdmodel.data.index import read_index

    tars = {name: dataset.path(name) for name in dataset.names("shards/") if name.endswith(".tar")}
    return read_index(dataset.path("index.parquet"), tars, split)


def pictures_of(
    dataset: Artifact, split: str, rows: int, size: int, *, captions: bool = False
) -> tuple[NDArray[np.uint8], list[str]]:
    """The first rows of a split (all where 0) as (N, S, S, 3) uint8 with their first captions, "" where a row
    has none.

    captions: leave out rows without one. ValueError: no row is there."""
    from sdmodel.data.captioned import captioned
    from sdmodel.data.pictures import Pictures

    index = index_of(dataset, split)
    if captions:
        index = captioned(index)
    chosen = np.arange(min(rows, len(index)) if rows else len(index))
    pictures = Pictures(index, size).read(chosen).transpose(0, 2, 3, 1)  # (N, S, S, 3)
    return pictures, [next(iter(index.captions[row]), "") for row in chosen]
