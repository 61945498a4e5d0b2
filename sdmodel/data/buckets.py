"""Which aspect ratio bucket a picture is nearest to."""

import numpy as np

from sdmodel.config.buckets import log_aspect


def nearest_bucket(sizes: np.ndarray, shapes: list[tuple[int, int]]) -> np.ndarray:
    """(N,) int64: which of the shapes (height, width) is nearest in aspect to each of `sizes`, (N, 2) height
    and width."""
    aspects = np.array([log_aspect(*shape) for shape in shapes])
    own = np.log(sizes[:, 1] / sizes[:, 0])
    return np.abs(own[:, None] - aspects).argmin(axis=1)
