"""Sizes in stages: a training sees small pictures first, which is cheap, and large ones last (progressive
resizing; Chen et al. 2023, arXiv:2310.00426, section 3.1)."""

from collections.abc import Sequence
from itertools import accumulate

Stages = Sequence[tuple[int, int]]
"""(pixels to a side, images seen at it), one stage after the other."""


def size_at(stages: Stages, images_seen: int) -> int:
    """The size of the batch that follows after so many images: that of the last stage ever after. A batch
    that is begun at a size is finished at it."""
    ends = accumulate(images for _, images in stages)
    return next(
        (size for (size, _), end in zip(stages, ends, strict=True) if images_seen < end), stages[-1][0]
    )


def of_images(stages: Stages, images: int, batch: int) -> tuple[tuple[int, int], ...]:
    """The same stages for a training of so many images in all, in proportion, in whole batches but for the
    last; one that would have none is left out, which the last never is."""
    total = sum(count for _, count in stages)
    ends = [round(end * images / total / batch) * batch for end in accumulate(count for _, count in stages)]
    ends = [*(min(end, images - 1) for end in ends[:-1]), images]
    begins = [0, *ends[:-1]]
    return tuple(
        (size, end - begin) for (size, _), begin, end in zip(stages, begins, ends, strict=True) if end > begin
    )


def images_left(stages: Stages, images_seen: int) -> list[tuple[int, int]]:
    """(size, images) that are still to be seen after `images_seen`, stage by stage."""
    left: list[tuple[int, int]] = []
    for (size, images), end in zip(stages, accumulate(count for _, count in stages), strict=True):
        if end > images_seen:
            left.append((size, min(images, end - images_seen)))
    return left
