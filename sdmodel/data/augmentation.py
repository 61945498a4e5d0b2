"""Data augmentation of each picture, drawn for its place in the data order: so the same whoever draws it, and
when."""

import numpy as np

from sdmodel.config.learning import DataConfig
from sdmodel.data.colour import names_colour
from sdmodel.data.geometry import UNIFORMS, augmentation_labels
from sdmodel.data.order import OrderSlice
from sdmodel.data.reader import Augmentations

VARIATION = 0xA46  # keeps these draws apart from others made with the same seed
COUNTERS = 5
"""Steps of Philox's counter for each place, of 4 random numbers each."""
CROP, COLOUR, GEOMETRY = slice(0, 2), slice(2, 5), slice(5, 5 + UNIFORMS)
assert GEOMETRY.stop <= 4 * COUNTERS


def uniforms(seed: int, first: int, count: int) -> np.ndarray:
    """(count, 20) float64 on [0, 1): random numbers of places `first` and on; a place's are its own."""
    key = np.random.SeedSequence([VARIATION, seed]).generate_state(2, np.uint64)
    philox = np.random.Philox(key=key, counter=first * COUNTERS)
    return np.random.Generator(philox).random((count, 4 * COUNTERS))


def draw_augmentations(
    data: DataConfig, seed: int, first: int, order: OrderSlice, captions: list[list[str]]
) -> Augmentations:
    """The augmentations of what stands at the places `first` and on.

    captions: those of each row; one is chosen, the empty one where there is none."""
    count = len(captions)
    some = np.array([len(own) for own in captions])
    which = np.where(some > 0, (order.caption * some).astype(np.int64), -1)
    chosen = [own[number] if own else "" for own, number in zip(captions, which, strict=True)]
    draws = uniforms(seed, first, count) if data.crop or data.colour or data.augment else None
    crop, colour, augmented = np.full((count, 2), 0.5), np.ones((count, 3)), None
    if draws is not None and data.crop:
        crop = draws[:, CROP]
    if draws is not None and data.colour:
        named = np.array([names_colour(caption) for caption in chosen])
        colour = np.where(named[:, None], 1.0, 1 + data.colour * (2 * draws[:, COLOUR] - 1))
    if draws is not None and data.augment:
        augmented = augmentation_labels(draws[:, GEOMETRY], data.augment)
    mirror = order.mirror & data.flip
    return Augmentations(
        captions=chosen, caption=which, mirror=mirror, crop=crop, colour=colour, augmented=augmented
    )
