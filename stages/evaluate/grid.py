"""Pictures for people: samples above their captions, samples beside their nearest training images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdmodel.captioned_sheet import captioned_sheet, enlarged, side_by_side

CELL = 144
"""Pixels to a side of a shown image; smaller images are enlarged by whole factors, so that their pixels stay
visible."""
GAP = 12
LINE = 14


def draw_grid(
    path: Path,
    images: NDArray[np.uint8],
    captions: Sequence[str],
    *,
    beside: NDArray[np.uint8] | None = None,
    columns: int = 6,
) -> None:
    """Write a PNG of captioned images.

    Args:
        path: of the PNG.
        images: (N, S, S, 3) uint8.
        captions: N texts, wrapped below the images and cut after LINES lines.
        beside: (N, S, S, 3) uint8, each drawn to the right of its image.
        columns: images in a row.
    """
    cells = [_enlarged(image) for image in images]
    if beside is not None:
        cells = [side_by_side(pair) for pair in zip(cells, map(_enlarged, beside), strict=True)]
    columns = max(1, min(columns, len(images)))
    captioned_sheet(cells, captions, columns=columns, gap=GAP, line=LINE, spacing=3).save(path, "PNG")


def _enlarged(image: NDArray[np.uint8]) -> Image.Image:
    picture = enlarged(image, max(1, CELL // image.shape[0]))
    if picture.width != CELL:
        picture = picture.resize((CELL, CELL), Image.Resampling.LANCZOS)
    return picture
