"""How well a CLIP tells pictures apart by their captions."""

import numpy as np
from numpy.typing import NDArray


def r_at_1(images: NDArray[np.float32], texts: NDArray[np.float32], of: int) -> float:
    """Share of captions whose own picture is the most similar of a group.

    Args:
        images: (N, D) embeddings of length 1.
        texts: (N, D) embeddings of length 1, row by row of the same pictures.
        of: pictures in a group; the N rows are cut into groups, and rows that fill no group are left out.

    Returns:
        Recall at 1, [0, 1].

    Raises:
        ValueError: fewer rows than one group.
    """
    groups = len(images) // of
    if groups == 0:
        raise ValueError(f"recall at 1 of {of} needs at least {of} pictures, got {len(images)}")
    cut = groups * of
    shape = (groups, of, images.shape[1])
    similarity = np.einsum(
        "gtd,gid->gti", texts[:cut].reshape(shape), images[:cut].reshape(shape)
    )  # (G, of, of)
    return float((similarity.argmax(axis=2) == np.arange(of)).mean())
