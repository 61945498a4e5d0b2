"""Pictures above their captions on one sheet, for people (a contact sheet)."""

import textwrap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LINES = 5
"""Lines of a caption that are shown."""
CHARACTER = 6
"""Pixels, about, to a character of a caption."""


def captioned_sheet(
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    columns: int,
    gap: int,
    line: int,
    spacing: int,
    width: int = 0,
) -> Image.Image:
    """Draw pictures of one size in rows, each above its caption; an RGB image.

    Args:
        pictures: at least one.
        captions: one a picture, wrapped to its column and cut after LINES lines.
        columns: pictures in a row.
        gap: pixels around pictures.
        line: pixels that the sheet leaves for a line of a caption.
        spacing: pixels between the lines of a caption, and above the first.
        width: least pixels of a column, without the gap.
    """
    width, height = max(pictures[0].width, width), pictures[0].height
    rows, below = -(-len(pictures) // columns), height + LINES * line + gap
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * below + gap), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = gap + place % columns * (width + gap), gap + place // columns * below
        sheet.paste(picture, (left, top))
        lines = textwrap.wrap(caption, width // CHARACTER)[:LINES]
        at = (left, top + height + spacing)
        pen.multiline_text(at, "\n".join(lines), fill="#222222", font=font, spacing=spacing)
    return sheet


def enlarged(picture: NDArray[np.uint8], factor: int) -> Image.Image:
    """(H, W, 3) uint8, a whole number of times larger: its pixels stay visible."""
    high, wide, _ = picture.shape
    return Image.fromarray(picture).resize((wide * factor, high * factor), Image.Resampling.NEAREST)


def side_by_side(pictures: Sequence[Image.Image], gap: int = 0) -> Image.Image:
    """Pictures of one size as one, `gap` white pixels between them."""
    width, height = pictures[0].size
    strip = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), "white")
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * (width + gap), 0))
    return strip
