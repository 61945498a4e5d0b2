"""The demo worlds' oracles read what was sampled for unseen captions: of one object, or of two groups."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.demo import captions as one_captions
from stages.demo import oracle as one_oracle
from stages.demo import world as one_world
from stages.demo.reading import PIXELS
from stages.demo.two import captions as two_captions
from stages.demo.two import oracle as two_oracle
from stages.demo.two import world as two_world
from stages.evaluate.prompts import Prompt
from stages.image import shrink


def unseen_captions(oracle: str, samples: int, seed: int) -> list[str]:
    """Captions of combinations and phrasings never trained on; none where the run has no oracle."""
    if not oracle:
        return []
    unseen = (two_captions if oracle == "two" else one_captions).unseen(samples, seed)
    return [caption for caption, _ in unseen]


def prompted(prompts: Sequence[Prompt], how: Literal["text", "picture", "both"], seed: int) -> list[Prompt]:
    """The same prompts, but those for the oracle as `evaluate.oracle_prompts` says."""
    if how == "text":
        return list(prompts)
    pictures = iter(references([prompt.caption for prompt in prompts if prompt.group == "oracle"], seed))
    return [
        replace(prompt, by_text=how == "both", picture=next(pictures)) if prompt.group == "oracle" else prompt
        for prompt in prompts
    ]


def references(captions: Sequence[str], seed: int) -> list[NDArray[np.uint8]]:
    """For each caption of a demo world a picture of that world, (64, 64, 3), which shows what it says; of a
    seed that nothing else uses."""
    pictures: list[NDArray[np.uint8]] = []
    for index, caption in enumerate(captions):
        if groups := two_captions.parse(caption):
            pictures.append(two_world.render(two_world.scene(_SHOWN + seed, index, groups), 64))
        else:
            attributes = one_captions.parse(caption)
            assert attributes, "a caption that no demo world wrote"
            pictures.append(one_world.render(one_world.scene(_SHOWN + seed, index, attributes), 64))
    return pictures


def verdicts(captions: Sequence[str], images: NDArray[np.uint8]) -> dict[str, float]:
    """Share of images that show what their captions say; the captions tell of which world they are.

    Args:
        captions: of one of the demo worlds, N. images: (N, S, S, 3) uint8.

    Returns:
        Of one object: for each attribute the share read right. Of two groups: for each of `two.measures`,
        from "shape" to "binding". Of one object also "coverage". Of both "all" for everything at once,
        "clean" for images that look like the world at all, and "samples", their number.
    """
    sized = _sized(images)
    scenes = [scene for scene in map(two_captions.parse, captions) if scene]
    if scenes:
        assert len(scenes) == len(captions), "a caption that the world of two did not write"
        reading = two_oracle.read_attributes(sized)
        right, covered = reading.matches(scenes), {}
    else:
        attributes = [parsed for parsed in map(one_captions.parse, captions) if parsed]
        assert len(attributes) == len(captions), "a caption that the demo world did not write"
        reading = one_oracle.read_attributes(sized)
        right, covered = reading.matches(attributes), {"coverage": coverage(reading)}
    shares = {name: round(float(values.mean()), 4) for name, values in right.items()}
    return {**shares, **covered, "clean": round(float(reading.clean.mean()), 4), "samples": len(captions)}


def unconditional_verdicts(images: NDArray[np.uint8]) -> dict[str, float]:
    """What the oracle of one object finds in pictures that no caption asked for.

    images: (N, S, S, 3) uint8. Returns {"coverage", see `coverage`; "clean": share of images that look like
    the world at all; "samples", their number}."""
    reading = one_oracle.read_attributes(_sized(images))
    clean = round(float(reading.clean.mean()), 4)
    return {"coverage": coverage(reading), "clean": clean, "samples": len(images)}


def coverage(reading: one_oracle.OracleReading) -> float:
    """Share of the cells of shape x colour, [0, 1], of which some clean picture is there."""
    read = zip(reading.labels["shape"], reading.labels["colour"], reading.clean, strict=True)
    cells = {(shape, colour) for shape, colour, clean in read if clean}
    return round(len(cells) / (len(one_world.VALUES["shape"]) * len(one_world.VALUES["colour"])), 4)


def _sized(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images if images.shape[1] == PIXELS else np.stack([shrink(image, PIXELS) for image in images])


def clean_pairs(rows: int, seed: int, oracle: str = "demo") -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Pictures of a demo world with captions that tell them apart, from a seed that nothing else uses.

    Returns:
        `rows` pictures of 64 pixels, and a caption of each in a training phrasing.
    """
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for index in range(rows):
        if oracle == "two":
            two = two_world.scene(_JUDGING + seed, index)
            pictures.append(two_world.render(two, 64))
            phrasing = index % len(two_captions.TRAINING_PHRASINGS)
            captions.append(two_captions.caption(two.attributes, phrasing))
        else:
            scene = one_world.scene(_JUDGING + seed, index)
            pictures.append(one_world.render(scene, 64))
            phrasing = index % len(one_captions.TRAINING_PHRASINGS)
            captions.append(one_captions.caption(scene.attributes, phrasing))
    return pictures, captions


_JUDGING = 7_000_000
_SHOWN = 8_000_000
