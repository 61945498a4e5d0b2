"""The demo world's oracle reads what was sampled for unseen captions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.demo.captions import TRAINING_PHRASINGS, caption, parse, unseen
from stages.demo.oracle import PIXELS, read
from stages.demo.world import render, scene
from stages.image import shrink

KNOWN = ("", "demo")


def unseen_captions(oracle: str, samples: int, seed: int) -> list[str]:
    """Captions of combinations and phrasings never trained on; none where the run has no oracle.

    Raises:
        ValueError: no oracle has this name.
    """
    if oracle not in KNOWN:
        raise ValueError(f'evaluate.oracle={oracle!r} is unknown; known: "demo", or "" for none')
    return [caption for caption, _ in unseen(samples, seed)] if oracle else []


def verdicts(captions: Sequence[str], images: NDArray[np.uint8]) -> dict[str, float]:
    """Share of images that show what their captions say.

    Args:
        captions: of the demo world, N.
        images: (N, S, S, 3) uint8.

    Returns:
        For each attribute the share read right, "all" for all at once, "clean" for images that look like the
        world at
        all, and "samples", their number.
    """
    truth = [parse(caption) for caption in captions]
    assert all(truth), "a caption that the demo world did not write"
    sized = images if images.shape[1] == PIXELS else np.stack([shrink(image, PIXELS) for image in images])
    reading = read(sized)
    right = reading.matches([one for one in truth if one])
    shares = {name: round(float(values.mean()), 4) for name, values in right.items()}
    return {**shares, "clean": round(float(reading.clean.mean()), 4), "samples": len(captions)}


def clean_pairs(rows: int, seed: int) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Pictures of the demo world with captions that tell them apart, from a seed that nothing else uses.

    Returns:
        `rows` pictures of 64 pixels, and a caption of each in a training phrasing.
    """
    scenes = [scene(_JUDGING + seed, index) for index in range(rows)]
    captions = [caption(one.attributes, index % len(TRAINING_PHRASINGS)) for index, one in enumerate(scenes)]
    return [render(one, 64) for one in scenes], captions


_JUDGING = 7_000_000
