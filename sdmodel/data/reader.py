"""The interface of a dataset: pictures by row, augmented as the stream says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from sdmodel.condition import Condition, ConditionValues
from sdmodel.data.index import Index


@dataclass(frozen=True, kw_only=True)
class Augmentations:
    """Data augmentation of B pictures, and the caption chosen for each.

    What the config leaves off changes nothing here, so a reader needs no config."""

    captions: list[str]
    """The caption chosen for each."""
    caption: np.ndarray
    """(B,) int64: which of its row's captions that is; -1 where the row has none."""
    mirror: np.ndarray
    """(B,) bool: left and right change places."""
    crop: np.ndarray
    """(B, 2) float64 on [0, 1): how far down, then right, of all the way; 0.5 is the centre."""
    colour: np.ndarray
    """(B, 3) float64: factors on brightness, contrast and saturation; 1 changes nothing."""
    augmented: np.ndarray | None
    """(B, 9) float32: how each is moved, see geometry.py; None where nothing ever is."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Training examples of B rows, as a reader returns them."""

    images: Tensor
    """As `Batch.images`; (H, W) is that of the bucket."""
    text: Condition | None = None
    """As `Batch.text`."""
    features: Tensor | None = None
    """As `Batch.features`, float16."""
    augmented: Tensor | None = None
    """As `Batch.augmented`."""


class Reader(Protocol):
    """A dataset, by rows of its index."""

    @property
    def index(self) -> Index:
        """Its rows."""
        ...

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(H, W) of the pictures of each bucket."""
        ...

    @property
    def buckets(self) -> np.ndarray:
        """(N,) int64: the bucket that each row is in."""
        ...

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        """Pictures of `rows` (B,), all of one bucket. Threads may call it at the same time."""
        ...


class RowConditions(Protocol):
    """What is known of the rows of a dataset beside their captions."""

    def __call__(
        self, rows: np.ndarray, shape: tuple[int, int], augmentations: Augmentations
    ) -> Mapping[str, ConditionValues]:
        """By the condition's name, of rows (B,) of the index that are seen as pictures of `shape`, (H, W)
        pixels, so augmented."""
        ...
