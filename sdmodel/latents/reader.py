"""Readers over a cache: latents in the place of pictures, text states beside what another reader reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sdmodel.config.train import TrainConfig
from sdmodel.data.index import Index
from sdmodel.data.reader import Augmentations, Examples, Reader
from sdmodel.latents.cache import LatentCache


@dataclass(frozen=True)
class LatentReader:
    """A `Reader` of posterior moments; a mirrored picture's are those of the mirrored picture."""

    index: Index
    cache: LatentCache

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(H, W) of the pictures of each bucket, pixels."""
        return self.cache.settings.shapes

    @property
    def buckets(self) -> np.ndarray:
        """(N,) int64: the bucket that each row is in."""
        return self.cache.buckets

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        """Moments (B, 2 C, h, w) float32. Crop and colour are those that were encoded: the centre's, as they
        are."""
        return Examples(images=self.cache.moments(rows, augmentations.mirror))


@dataclass(frozen=True)
class _ReaderBeside:
    """Another `Reader`, whose pictures something cached is read beside."""

    reader: Reader
    cache: LatentCache

    @property
    def index(self) -> Index:
        """Of the other."""
        return self.reader.index

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of the other."""
        return self.reader.shapes

    @property
    def buckets(self) -> np.ndarray:
        """Of the other."""
        return self.reader.buckets


class CachedTextReader(_ReaderBeside):
    """With the cached states of the captions."""

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        """What the other reads, with `text`."""
        text = self.cache.text(rows, augmentations.caption)
        return replace(self.reader.read(rows, augmentations, bucket), text=text)


class CachedFeatureReader(_ReaderBeside):
    """With the cached feature maps that an image encoder has of the pictures."""

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        """What the other reads, with `features`; a mirrored picture's are those of the mirrored picture."""
        features = self.cache.features(rows, augmentations.mirror)
        return replace(self.reader.read(rows, augmentations, bucket), features=features)


def cached_reader(folder: Path, index: Index, config: TrainConfig, pictures: Callable[[], Reader]) -> Reader:
    """What reads a dataset through its cache.

    Args:
        folder: of the cache.
        index: of the dataset, one split.
        config: of the training, which must ask for what is cached.
        pictures: makes the reader of pixels, where the cache holds no latents.

    Raises:
        ValueError: the training asks for pictures of another size or shape, or varied in a way that latents
            are not cached for; the cache is another dataset's.
    """
    cache = LatentCache(folder, index)
    settings = cache.settings
    aligned = bool(settings.feature_width) and config.alignment.kind == "repa"
    if settings.space or aligned:
        what = "latents" if settings.space else "features"
        check_latents_fit(config, settings.size, settings.shapes, what)
    reader = LatentReader(index, cache) if settings.space else pictures()
    if settings.token_width:
        reader = CachedTextReader(reader, cache)
    return CachedFeatureReader(reader, cache) if aligned else reader


def check_latents_fit(
    config: TrainConfig, size: int, shapes: list[tuple[int, int]], what: str = "latents"
) -> None:
    """ValueError: a training does not fit latents, or features, of pictures of these shapes."""
    from sdmodel.config.buckets import bucket_shapes

    if config.sizes:
        key = "encode.autoencoder" if what == "latents" else "encode.encoder"
        raise ValueError(
            f"train.sizes={[list(stage) for stage in config.sizes]}, but {what} are cached of one size; "
            f"leave sizes out, or train without {key}"
        )
    training_shapes = bucket_shapes(config.size, config.data.buckets, config.data.max_aspect)
    if config.size != size or training_shapes != shapes:
        raise ValueError(
            f"train.size={config.size} with train.data.buckets={config.data.buckets} has pictures of "
            f"{_listed(training_shapes)}; {what} are cached for {_listed(shapes)}: set size, buckets and "
            "max_aspect of encode and of train alike"
        )
    data = config.data
    varied = {"crop": data.crop, "colour": data.colour, "augment": data.augment}
    if chosen := [name for name, value in varied.items() if value]:
        raise ValueError(
            f"{what} are cached of the picture's centre, plain and mirrored; train.data.{chosen[0]}="
            f"{varied[chosen[0]]} needs pixels: leave it at its default, or train without encode"
        )


def _listed(shapes: list[tuple[int, int]]) -> str:
    return ", ".join(f"{height} x {width}" for height, width in shapes)
