"""Data augmentation of each picture, drawn for its place in the data order: so the same whoever draws it, and
when."""

import numpy as np
import torch

from sdmodel import philox
from sdmodel.config.learning import DataConfig
from sdmodel.data.colour import names_colour
from sdmodel.data.geometry import UNIFORMS, augmentation_labels
from sdmodel.data.reader import Augmentations

CAPTION, MIRROR, CROP, COLOUR, GEOMETRY = 0, 1, slice(2, 4), slice(4, 7), slice(7, 7 + UNIFORMS)
"""Which of a place's random numbers are for what."""


def draw_augmentations(
    data: DataConfig, seed: int, places: np.ndarray, captions: list[list[str]]
) -> Augmentations:
    """The augmentations of what stands at places (B,) int64 of the data order.

    captions: those of each row; one is chosen, the empty one where there is none."""
    count, rows = len(captions), torch.from_numpy(places)
    draws = philox.uniform(seed, rows, "augmentation", GEOMETRY.stop).double().numpy()
    some = np.array([len(own) for own in captions])
    which = np.where(some > 0, (draws[:, CAPTION] * some).astype(np.int64), -1)
    chosen = [own[number] if own else "" for own, number in zip(captions, which, strict=True)]
    crop = draws[:, CROP] if data.crop else np.full((count, 2), 0.5)
    colour = np.ones((count, 3))
    if data.colour:
        named = np.array([names_colour(caption) for caption in chosen])
        colour = np.where(named[:, None], 1.0, 1 + data.colour * (2 * draws[:, COLOUR] - 1))
    augmented = augmentation_labels(draws[:, GEOMETRY], data.augment) if data.augment else None
    mirror = (draws[:, MIRROR] < 0.5) & data.flip
    return Augmentations(
        captions=chosen, caption=which, mirror=mirror, crop=crop, colour=colour, augmented=augmented
    )
