"""k-means clustering of captions' states, and how stable its clusters are.

Letters as in the papers: N rows of D numbers, K clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

ROUNDS = 300
"""Of Lloyd's algorithm at most; a few dozen are usual."""
CHUNK = 8192
"""Rows that are compared with the centres at once, in float64."""


@dataclass(frozen=True)
class Clusters:
    """A partition of N rows, the largest cluster first."""

    labels: np.ndarray
    """(N,) int64: each row's cluster, 0 to K - 1."""
    centres: np.ndarray
    """(K, D) float64."""
    distances: np.ndarray
    """(N,) float64: squared distance of each row to its centre."""

    @property
    def inertia(self) -> float:
        """Mean squared distance of a row to its centre."""
        return float(self.distances.mean())


def kmeans(states: np.ndarray, clusters: int, rng: np.random.Generator) -> Clusters:
    """Lloyd's algorithm from the start of k-means++ (Arthur and Vassilvitskii 2007), until no row moves.

    Args:
        states: (N, D) float, N at least 1.
        clusters: K; where fewer rows differ there are as many clusters as those.
        rng: draws the start.
    """
    centres = _start(states, clusters, rng)
    labels = np.full(len(states), -1)
    for _ in range(ROUNDS):
        assigned, distances = nearest_centres(states, centres)
        if (assigned == labels).all():
            break
        labels = assigned
        centres = _means(states, labels, distances, len(centres))
    order = np.argsort(-np.bincount(labels, minlength=len(centres)), kind="stable")
    labels, distances = nearest_centres(states, centres[order])
    return Clusters(labels, centres[order], distances)


def nearest_centres(states: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the nearest centre, (N,) int64, and the squared distance to it, (N,) float64.

    Args:
        states: (N, D).
        centres: (K, D).
    """
    labels, distances = np.empty(len(states), np.int64), np.empty(len(states))
    for at in range(0, len(states), CHUNK):
        some = states[at : at + CHUNK].astype(np.float64)
        square = (some**2).sum(1)[:, None] - 2 * some @ centres.T + (centres**2).sum(1)  # (n, K)
        labels[at : at + CHUNK] = square.argmin(1)
        distances[at : at + CHUNK] = square.min(1).clip(0)
    return labels, distances


def _start(states: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """(K, D): different rows, each drawn by its squared distance to those drawn before."""
    centres = states[[rng.integers(len(states))]].astype(np.float64)
    distances = np.full(len(states), np.inf)
    while len(centres) < clusters:
        distances = np.minimum(distances, ((states.astype(np.float64) - centres[-1]) ** 2).sum(1))
        if not distances.any():
            break
        drawn = rng.choice(len(states), p=distances / distances.sum())
        centres = np.concatenate([centres, states[[drawn]].astype(np.float64)])
    return centres


def _means(states: np.ndarray, labels: np.ndarray, distances: np.ndarray, clusters: int) -> np.ndarray:
    """(K, D): means of the clusters; one without rows begins anew at a row that is farthest from its own."""
    rows = len(states)
    counts = np.bincount(labels, minlength=clusters)
    members = csr_array((np.ones(rows), (labels, np.arange(rows))), (clusters, rows))
    centres = (members @ states) / counts.clip(1)[:, None]
    empty = np.flatnonzero(counts == 0)
    centres[empty] = states[np.argsort(-distances, kind="stable")[: len(empty)]]
    return centres


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """How far two partitions of the same rows agree: 1 they are the same, 0 as much as chance (Hubert and
    Arabie 1985, equation 5).

    Args:
        first: (N,) labels of any type.
        second: (N,) labels.
    """
    table = _contingency(first, second)
    pairs = _pairs(table).sum()
    rows, columns = _pairs(table.sum(1)).sum(), _pairs(table.sum(0)).sum()
    expected, most = rows * columns / _pairs(table.sum()), (rows + columns) / 2
    return float((pairs - expected) / (most - expected)) if most != expected else 1.0


def purity(labels: np.ndarray, classes: np.ndarray) -> float:
    """Share of rows whose class is the commonest of their cluster, (0, 1] (Manning, Raghavan and Schütze
    2008, equation 16.1)."""
    return float(_contingency(labels, classes).max(1).sum() / len(labels))


def _contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, B) int64: rows with the a-th value of the first and the b-th of the second."""
    (a_values, a), (b_values, b) = (np.unique(each, return_inverse=True) for each in (first, second))
    table = np.zeros((len(a_values), len(b_values)), np.int64)
    np.add.at(table, (a, b), 1)
    return table


def _pairs(counts: np.ndarray) -> np.ndarray:
    """Pairs of different things among so many."""
    return counts * (counts - 1) / 2


@dataclass(frozen=True)
class Stability:
    """Mean adjusted Rand indices between partitions that should be the same."""

    seeds: float
    """Of runs from different starts, over all pairs of them."""
    half: float
    """Of the best run on all rows and one on half of them, over the other half."""


def best_clustering(states: np.ndarray, clusters: int, seeds: int) -> tuple[Clusters, Stability]:
    """The run of the least inertia, and how far others agree with it.

    Args:
        states: (N, D) float, N at least 2.
        clusters: K; see `kmeans`.
        seeds: runs, 2 or more.
    """
    runs = [kmeans(states, clusters, np.random.default_rng([seed, 0])) for seed in range(seeds)]
    best = min(runs, key=lambda run: run.inertia)
    rng = np.random.default_rng([0, 1])
    seen, unseen = np.array_split(rng.permutation(len(states)), 2)
    half = kmeans(states[seen], clusters, rng)
    predicted, _ = nearest_centres(states[unseen], half.centres)
    return best, Stability(_agreement(runs), adjusted_rand(best.labels[unseen], predicted))


def _agreement(runs: Sequence[Clusters]) -> float:
    pairs = [(a.labels, b.labels) for number, a in enumerate(runs) for b in runs[:number]]
    return float(np.mean([adjusted_rand(a, b) for a, b in pairs]))
