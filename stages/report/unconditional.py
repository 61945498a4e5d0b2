"""New pictures by a generator that reads no captions, as files or as one grid. Imports torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdmodel.data.pixels import to_uint8
from sdmodel.device import resolve_device
from sdmodel.gan.folder import load
from stages.report.grid import PictureWriter


class GeneratorArtist(PictureWriter):
    """The generator of a folder that the gan objective wrote."""

    def __init__(self, folder: Path, name: str, device: str = "auto") -> None:
        """name: of the model, for what pictures say of themselves. device: "cpu", "cuda" or "auto".

        ValueError: the device is unknown or not there."""
        self.model = load(folder, resolve_device(device))
        self.name, self.sampling, self.conditions = name, None, {}

    def draw(
        self, pairs: Sequence[tuple[str, int]], progress: Callable[[int, int], None]
    ) -> NDArray[np.uint8]:
        """Pictures (B, H, W, 3) of seeds alone; captions are not read."""
        drawn = self.model.sample([""] * len(pairs), [seed for _, seed in pairs])
        progress(len(pairs), len(pairs))
        return to_uint8(drawn).permute(0, 2, 3, 1).numpy()
