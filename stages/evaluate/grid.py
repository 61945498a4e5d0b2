"""Pictures for people: samples above their captions, samples beside their nearest training images."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL = 144
"""Pixels to a side of a shown image; smaller images are enlarged by whole factors, so that their pixels stay
visible."""
GAP = 12
LINE = 14
LINES = 5


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
    wide = CELL * (2 if beside is not None else 1)
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    cell_height = CELL + LINES * LINE + GAP
    sheet = Image.new("RGB", (columns * (wide + GAP) + GAP, rows * cell_height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for position, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = GAP + position % columns * (wide + GAP)
        top = GAP + position // columns * cell_height
        sheet.paste(_enlarged(image), (left, top))
        if beside is not None:
            sheet.paste(_enlarged(beside[position]), (left + CELL, top))
        lines = textwrap.wrap(caption, wide // 6)[:LINES]
        draw.multiline_text((left, top + CELL + 3), "\n".join(lines), fill="#222222", font=font, spacing=3)
    sheet.save(path, "PNG")


def _enlarged(image: NDArray[np.uint8]) -> Image.Image:
    side = image.shape[0]
    factor = max(1, CELL // side)
    picture = Image.fromarray(image).resize((side * factor, side * factor), Image.Resampling.NEAREST)
    if picture.width != CELL:
        picture = picture.resize((CELL, CELL), Image.Resampling.LANCZOS)
    return picture
