"""From verified edges to clusters of copies, without chaining.

Connected components join a to c because both resemble b (fastdup issue 302: thousands of unlike images in
one component). Here rows are visited best first: a row joins the nearest kept row that it has a verified
edge to, and is kept itself where there is none. So each member was compared with the row that stands for
it, and the row that stands for it is better.
"""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float32]


def leaders(rank: Rows, first: Rows, second: Rows, distance: Distances) -> tuple[Rows, Distances]:
    """The row that stands for each row, and how far it is.

    `rank` is (N,) int64, a permutation: 0 is the best row. `first`, `second` and `distance` are (E,): the
    verified edges, in any order and direction. Returns (N,) int64, n where row n is kept, else a kept row
    of better rank that n has an edge to (the nearest one, the better-ranked at equal distance), and (N,)
    float32, the distance of that edge, 0 where kept. The result depends on the set of edges alone.
    """
    result = np.arange(len(rank), dtype=np.int64)
    far = np.zeros(len(rank), dtype=np.float32)
    swap = rank[first] > rank[second]
    better, worse = np.where(swap, second, first), np.where(swap, first, second)
    order = np.lexsort((rank[better], distance, rank[worse]))  # by worse row, nearest first
    better, worse, distance = better[order], worse[order], distance[order]
    previous = -1
    for b, w, d in zip(better.tolist(), worse.tolist(), distance.tolist(), strict=True):
        if w == previous:
            continue
        # all better rows are settled, for rows come best first
        if result[b] == b:
            result[w], far[w] = b, d
            previous = w
    return result, far


def best_first(width: Rows, height: Rows, length: Rows, uids: npt.NDArray[np.object_]) -> Rows:
    """Ranks for keeping the best: more pixels, then more bytes, then the smaller uid. (N,) each; returns
    (N,) int64, 0 the best."""
    order = np.lexsort((uids.astype(str), -length, -(width.astype(np.int64) * height)))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank
