"""Which side of the fence a picture is on: decided by its cluster of copies alone, so that it never changes
sides."""

import hashlib

SPLITS = ("train", "validation", "test")


def split_of(cluster: str, validation: float, test: float) -> str:
    """The split of a cluster of copies.

    Args:
        cluster: its name; all its pictures fall on one side.
        validation: share of clusters for validation, [0, 1].
        test: share of clusters for test, [0, 1].
    """
    place = int.from_bytes(hashlib.sha256(f"split\n{cluster}".encode()).digest()[:8], "big") / 2**64
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def order_key(uid: str) -> str:
    """Sorting by it shuffles the pictures, the same way for ever."""
    return hashlib.sha256(f"order\n{uid}".encode()).hexdigest()
