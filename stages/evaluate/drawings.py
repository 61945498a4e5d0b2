"""What people look at of a text-to-image model: samples, and beside them their nearest training images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact
from stages.evaluate.grid import draw_grid
from stages.evaluate.images import index_of
from stages.fingerprint import JSON
from stages.output import Output

SHOWN = 24
"""Samples on the grid."""
CHUNK = 2048
"""Training images that are compared at once."""


def draw_samples(
    images: NDArray[np.uint8], captions: list[str], dataset: Artifact, out: Output
) -> dict[str, JSON]:
    """Draw samples above their captions, and beside their nearest training images; the distances of these."""
    draw_grid(out.write("grid.png"), images, captions)
    neighbours, distances, uids = _nearest(images, dataset, out)
    draw_grid(out.write("nearest.png"), images, captions, beside=neighbours, columns=4)
    return {
        "median": round(float(np.median(distances)), 4),
        "least": round(float(distances.min()), 4),
        "uids": uids,
    }


def chosen_samples(groups: dict[str, list[int]]) -> list[int]:
    """New captions first, then those for the oracle and of the test split by turns."""
    turns = [i for pair in zip(groups["oracle"], groups["test"], strict=False) for i in pair]
    rest = [i for i in groups["test"] + groups["oracle"] if i not in set(turns)]
    return (groups["new"] + turns + rest)[:SHOWN]


def _nearest(
    shown: NDArray[np.uint8], dataset: Artifact, out: Output
) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[str]]:
    """The nearest training image of each shown one: pictures, root mean square distances in [0, 1], uids."""
    import torch

    from sdmodel.data.pictures import Pictures
    from sdmodel.evaluate.nearest import nearest

    index = index_of(dataset, "train")
    train = Pictures(index, shown.shape[1])  # decoded chunk by chunk: all of them may not fit

    def chunks() -> Iterator[Any]:
        for start in range(0, len(index), CHUNK):
            out.check()
            out.progress(start, len(index), "looking for the nearest training images")
            pictures = train.read(np.arange(start, min(start + CHUNK, len(index))))  # (M, 3, S, S)
            yield torch.from_numpy(pictures).float() / 255

    samples = torch.from_numpy(shown.transpose(0, 3, 1, 2)).float() / 255  # (N, 3, S, S)
    place, distance = nearest(samples, chunks())
    neighbours = train.read(place.numpy()).transpose(0, 2, 3, 1)  # (N, S, S, 3)
    return neighbours, distance.numpy(), [index.uids[row] for row in place.tolist()]
