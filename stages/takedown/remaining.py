"""What a take-down covers, in figures, and what is left to do after it, in sentences."""

from collections.abc import Iterator, Mapping, Sequence

from stages.takedown.holders import Holder
from stages.takedown.records import Takedown


def counts(takedown: Takedown) -> Mapping[str, int]:
    """How many names of each kind it forbids, without those of which there is none."""
    lengths = {
        "pictures held": len(takedown.sha256s),
        "uids": len(takedown.uids),
        "addresses": len(takedown.urls),
        "hosts": len(takedown.hosts),
    }
    return {words: length for words, length in lengths.items() if length}


def holds_bytes(takedown: Takedown, holders: Sequence[Holder]) -> bool:
    """Whether the pictures' bytes are still in the store."""
    return any(holder.has_pixels and takedown.number not in holder.purged for holder in holders)


def next_steps(holders: Sequence[Holder]) -> Iterator[str]:
    """What is left to do for pictures to be out of what is used, whether or not their bytes are purged.

    Args:
        holders: of the take-down.
    """
    with_pixels = [holder for holder in holders if holder.has_pixels]
    models = [holder for holder in holders if holder.has_learned]
    if with_pixels:
        yield f"run the line again for versions without it{_called(with_pixels)}"
    if models:
        yield f"train again, as what a model has learnt is not cut out{_called(models)}"
    unasked = [holder for holder in holders if holder.unasked]
    datasets = {tombstone.name: tombstone for holder in unasked for tombstone in holder.unasked}
    if unasked:
        yield (
            f"may have learned from it, and nobody can tell{_called(unasked)}: of what they were made from, "
            + "; ".join(map(str, datasets.values()))
        )


def _called(holders: Sequence[Holder]) -> str:
    names = sorted({reference.partition("@")[0] for holder in holders for reference in holder.references})
    return f": {', '.join(names)}" if names else ""
