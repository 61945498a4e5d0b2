"""New pictures by a model folder, as files or as one grid with captions. Imports torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdmodel.captioned_sheet import captioned_sheet, enlarged, side_by_side
from sdmodel.config.picture import PICTURE
from sdmodel.config.sampling import Sampling, SamplingConfig
from sdmodel.data.pixels import to_float, to_uint8
from sdmodel.device import resolve_device
from sdmodel.diffusion.generate import CHUNK, load
from sdmodel.text.lengths import truncation_warnings
from stages.report.png import described, file_name, write_png
from stages.report.reference_picture import ReferencePicture

CELL = 128
"""Least pixels to a side of a drawn picture in a grid; smaller ones are enlarged by whole factors."""
GAP = 8
LINE = 14


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """What is drawn: each caption with each seed."""

    captions: list[str]
    seeds: list[int]

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Caption and seed of each picture, in the order of the captions."""
        return [(caption, seed) for caption in self.captions for seed in self.seeds]


class PictureWriter(ABC):
    """A model that draws, and files of what it drew."""

    name: str
    """Of the model, for what pictures say of themselves."""
    sampling: Sampling | None
    """How; None: there is nothing to choose."""
    conditions: Mapping[str, Any]
    """What all pictures are to be besides their captions, for what they say of themselves."""

    def files(self, prompts: Prompts, folder: Path, progress: Callable[[int, int], None]) -> Iterator[Path]:
        """Writes a PNG for each picture into an existing folder, its caption and seed in its name and inside;
        gives their paths as they come. They are drawn a chunk at a time, and those that came stay."""
        pairs = prompts.pairs
        for start in range(0, len(pairs), CHUNK):
            some = pairs[start : start + CHUNK]
            pictures = self.draw(some, lambda done, _, start=start: progress(start + done, len(pairs)))
            for number, (picture, (caption, seed)) in enumerate(zip(pictures, some, strict=True), start):
                path = folder / file_name(number, seed, caption)
                info = described([caption], [seed], self.sampling, self.name, self.conditions)
                write_png(path, Image.fromarray(picture), info)
                yield path

    def grid(self, prompts: Prompts, path: Path, progress: Callable[[int, int], None]) -> None:
        """Writes a PNG with a row of pictures for each caption, the caption below it."""
        images = self.draw(prompts.pairs, progress)
        count = len(prompts.seeds)
        factor = max(1, -(-CELL // min(images.shape[1:3])))
        pictures = [enlarged(image, factor) for image in images]
        rows = [side_by_side(pictures[at : at + count], GAP) for at in range(0, len(pictures), count)]
        sheet = captioned_sheet(rows, prompts.captions, columns=1, gap=GAP, line=LINE, spacing=2)
        info = described(prompts.captions, prompts.seeds, self.sampling, self.name, self.conditions)
        write_png(path, sheet, info)

    @abstractmethod
    def draw(
        self, pairs: Sequence[tuple[str, int]], progress: Callable[[int, int], None]
    ) -> NDArray[np.uint8]:
        """Pictures (B, H, W, 3) of captions and seeds."""


class Artist(PictureWriter):
    """A text-to-image model, and how it draws."""

    def __init__(
        self,
        folder: Path,
        name: str,
        sampling: SamplingConfig,
        *,
        size: tuple[int, int] | None = None,
        weak: Path | None = None,
        conditions: Mapping[str, Any] | None = None,
        picture: ReferencePicture | None = None,
        device: str = "auto",
    ) -> None:
        """Args:
        folder: that the diffusion objective wrote.
        name: of the model, for what pictures say of themselves.
        sampling: what shall be otherwise than the model's folder says.
        size: (H, W), pixels; None is the square that the model was taught on.
        weak: folder of a worse model of the same kind, which guidance leads away from; None: the captions'
            absence.
        conditions: what all pictures are to be besides, by the model's condition.
        picture: that all are to be like; None: none is.
        device: "cpu", "cuda" or "auto".

        ValueError: the device is unknown or not there; the model knows no such condition or value."""
        place = resolve_device(device)
        self.model, self.name, self.size = load(folder, place), name, size
        self.weak = load(weak, place) if weak else None
        self.conditions, self._values = dict(conditions or {}), dict(conditions or {})
        if picture is not None:
            self.conditions[PICTURE] = picture.name
            self._values[PICTURE] = to_float(picture.pixels).permute(2, 0, 1)  # (3, H, W)
        self.model.model.known({name: [value] for name, value in self._values.items()}, 1)
        self.chosen, self.sampling = sampling, sampling.over(self.model.model.sampling)

    def warnings(self, captions: Sequence[str]) -> list[str]:
        """What a person should hear of captions that the model cannot read whole."""
        readers = self.model.model.text.readers
        return truncation_warnings(readers, list(captions), "The model draws what it read of them.")

    def draw(
        self, pairs: Sequence[tuple[str, int]], progress: Callable[[int, int], None]
    ) -> NDArray[np.uint8]:
        """Pictures (B, H, W, 3) of captions and seeds."""
        captions, seeds = [caption for caption, _ in pairs], [seed for _, seed in pairs]
        beside = {name: [value] * len(pairs) for name, value in self._values.items()}
        drawn = self.model.sample(captions, seeds, self.chosen, progress, self.size, self.weak, beside)
        return to_uint8(drawn).permute(0, 2, 3, 1).numpy()
