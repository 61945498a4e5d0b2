"""Which side of the fence a picture is on: decided by its cluster of copies, so that no copy of a training
picture is among those that judge the training."""

import hashlib
from collections.abc import Iterable, Mapping

SPLITS = ("train", "validation", "test")


def splits_of(clusters: Iterable[str], validation: float, test: float) -> Mapping[str, str]:
    """The split of each cluster of copies.

    A hash of its name places a cluster in [0, 1): below `test` it is for test, in the next `validation` of
    the range for validation, else for training. So a cluster never changes sides as a dataset grows. Small
    datasets are the exception: a split whose share of the clusters is less than one cluster stays empty, and
    one that nothing falls to though its share is one or more takes the cluster nearest to it.

    Args:
        clusters: their names, with or without repeats.
        validation: share of clusters for validation, [0, 1].
        test: share of clusters for test, [0, 1]; together below 1.
    """
    ordered = sorted(set(clusters), key=lambda cluster: (place_of(cluster), cluster))
    has_test, has_validation = (round(share * len(ordered), 6) >= 1 for share in (test, validation))
    most = max(0, len(ordered) - 1)  # one is for training
    for_test = sum(place_of(cluster) < test for cluster in ordered)
    for_validation = sum(test <= place_of(cluster) < test + validation for cluster in ordered)
    left_for_test = 1 if has_test and most > 1 else 0
    for_validation = min(max(for_validation, 1), most - left_for_test) if has_validation else 0
    for_test = min(max(for_test, 1), most - for_validation) if has_test else 0
    names = ["test"] * for_test + ["validation"] * for_validation
    names += ["train"] * (len(ordered) - len(names))
    return dict(zip(ordered, names, strict=True))


def place_of(cluster: str) -> float:
    """Where a cluster stands in [0, 1), for ever."""
    return int.from_bytes(hashlib.sha256(f"split\n{cluster}".encode()).digest()[:6], "big") / 2**48


def order_key(uid: str) -> str:
    """Sorting by it shuffles the pictures, the same way for ever."""
    return hashlib.sha256(f"order\n{uid}".encode()).hexdigest()
