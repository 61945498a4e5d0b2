"""A cache of latents and text states, memory-mapped: the folder that the stage encode leaves.

latents.json        size, shapes, the space of the latents, and the widths of the text states
latents.parquet     uid, bucket, file and row of its moments, text and row of its first caption
moments/, features/, states/, pooled/       arrays, see write.py; text "empty" is the empty caption
autoencoder/, text_encoder/, tokenizer/     what they were made with
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.data.index import Index
from sdmodel.latents.space import Space

FEATURES = "features"
"""Folder of an image encoder's feature maps; each lies as the picture's moments do in theirs."""
EMPTY = "empty"
"""Name of the arrays of the empty caption."""
MAPS = 256
"""Arrays that stay mapped at a time; each holds a file descriptor, of which processes may have few."""


@dataclass(frozen=True)
class CacheSettings:
    """What a cache is of."""

    size: int
    """Pixels to a side of a square that has as many as the pictures, about."""
    shapes: list[tuple[int, int]]
    """(H, W) of the pictures of each bucket; empty where neither latents nor features are cached."""
    space: Space | None
    """Of the latents; None where none are cached."""
    pooled_width: int
    """Of the captions' pooled vectors; 0 where no text is cached."""
    token_width: int
    """Of the captions' states; 0 where no text is cached."""
    text_length: int = 0
    """Tokens that captions were padded or cut to; 0 where no text is cached."""
    feature_width: int = 0
    """F, channels of an image encoder's feature maps; 0 where none are cached."""


def read_settings(folder: Path) -> CacheSettings:
    """What the cache in a folder is of. ValueError: there is none."""
    file = folder / "latents.json"
    if not file.exists():
        raise ValueError(f"{folder}: no latents.json in it; a folder that the stage encode wrote holds one")
    settings: dict[str, Any] = json.loads(file.read_text())
    return CacheSettings(
        size=settings["size"],
        shapes=[(height, width) for height, width in settings["shapes"]],
        space=Space.from_dict(settings["space"]) if settings["space"] else None,
        pooled_width=settings["pooled_width"],
        token_width=settings["token_width"],
        text_length=settings["text_length"],
        feature_width=settings.get("feature_width", 0),
    )


def read_empty(folder: Path) -> Condition:
    """The empty caption's states in the cache in a folder that has text, float32."""
    pooled, states = (np.load(folder / what / f"{EMPTY}.npy")[:1] for what in ("pooled", "states"))
    return _condition(pooled, states).to(torch.device("cpu"))


def _condition(pooled: np.ndarray, states: np.ndarray) -> Condition:
    mask = torch.ones(states.shape[:2], dtype=torch.bool)
    return Condition(torch.from_numpy(pooled), torch.from_numpy(states), mask)


def features_file(file: str) -> str:
    """Where a picture's feature map lies, in the same row, of the file that latents.parquet names: that of
    its moments, or, where no latents are cached, of the map itself."""
    return f"{FEATURES}/{PurePosixPath(file).name}" if file else ""


class LatentCache:
    """The latents and text states of the rows of an index.

    ValueError: the folder holds no cache, or lacks a row of the index."""

    def __init__(self, folder: Path, index: Index):
        self.folder = folder
        self.settings = read_settings(folder)
        table = pq.read_table(folder / "latents.parquet")
        place = {uid: row for row, uid in enumerate(table.column("uid").to_pylist())}
        missing = [uid for uid in index.uids if uid not in place]
        if missing:
            raise ValueError(
                f"{folder}: {len(missing)} of the dataset's {len(index)} pictures are not in these cached "
                f"latents ({', '.join(missing[:3])}, ...); another dataset was encoded: encode this one"
            )
        table = table.take([place[uid] for uid in index.uids])
        self.buckets: np.ndarray = table.column("bucket").to_numpy()  # (N,) int64
        self._files: list[str] = table.column("file").to_pylist()
        self._features = [features_file(file) for file in self._files]
        self._rows: np.ndarray = table.column("row").to_numpy()
        self._texts: list[str] = table.column("text").to_pylist()
        self._captions: np.ndarray = table.column("caption").to_numpy()
        self._map = functools.lru_cache(MAPS)(self._open)

    def moments(self, rows: np.ndarray, mirror: np.ndarray) -> Tensor:
        """(B, 2 C, h, w) float32 of rows (B,) of one bucket; mirrored where `mirror` (B,) is true.

        ValueError: a picture was taken down since."""
        return torch.from_numpy(self._arrays(self._files, rows, mirror, "latent").astype(np.float32))

    def features(self, rows: np.ndarray, mirror: np.ndarray) -> Tensor:
        """(B, F, h, w) float16 of rows (B,) of one bucket: an image encoder's feature maps; otherwise as
        `moments`."""
        return torch.from_numpy(self._arrays(self._features, rows, mirror, "feature map"))

    def _arrays(self, files: list[str], rows: np.ndarray, mirror: np.ndarray, what: str) -> np.ndarray:
        stacked = np.stack(
            [
                self._map(files[row])[self._rows[row], int(mirrored)]
                for row, mirrored in zip(rows.tolist(), mirror.tolist(), strict=True)
            ]
        )
        if not (full := stacked.any((1, 2, 3))).all():  # purging writes zeros
            row = int(rows[np.argmin(full)])
            raise ValueError(
                f"{self.folder}: the {what} of row {row} in {files[row]} was purged after a take-down; "
                "filter and shard again, and encode the new dataset"
            )
        return stacked

    def text(self, rows: np.ndarray, captions: np.ndarray) -> Condition:
        """Of each row (B,) its caption (B,), counted from 0; the empty caption where that is -1. In float16,
        where that is what is stored: `Condition.to` widens it on the device."""
        places = [
            (self._texts[row], int(self._captions[row]) + caption) if caption >= 0 else (EMPTY, 0)
            for row, caption in zip(rows.tolist(), captions.tolist(), strict=True)
        ]
        pooled, states = (
            np.stack([self._map(f"{what}/{name}.npy")[row] for name, row in places])
            for what in ("pooled", "states")
        )
        return _condition(pooled, states)

    def _open(self, name: str) -> np.ndarray:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{self.folder}/latents.parquet names {name!r}, which lies outside of the cache")
        return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
