"""Small sheets of pictures for people, as data: URLs that Markdown can hold."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from stages.artifact import Files
from stages.image import ImageError, decode

CELL = 80
"""Pixels to a side of a shown picture."""
GAP = 4
LABEL = 12
COLUMNS = 8
COLOURS = 128
"""Of the sheet's palette: a third of the bytes, and nobody judges colours at this size."""


@dataclass(frozen=True)
class Shown:
    """A picture to show: where its bytes lie, and a word below it."""

    files: Files
    file: str
    offset: int
    length: int
    label: str = ""


def sheet(shown: Sequence[Shown], columns: int = COLUMNS) -> bytes:
    """A PNG of pictures in rows, each fitted into a square with its label below.

    Args:
        shown: what to show; bytes that don't decode leave their square empty.
        columns: pictures in a row.
    """
    columns = max(1, min(columns, len(shown)))
    rows = -(-len(shown) // columns)
    step = CELL + GAP
    canvas = Image.new("RGB", (columns * step + GAP, rows * (step + LABEL) + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(9)
    for position, one in enumerate(shown):
        left = GAP + position % columns * step
        top = GAP + position // columns * (step + LABEL)
        try:
            picture = Image.fromarray(decode(one.files.read(one.file, one.offset, one.length)))
        except ImageError:
            draw.rectangle((left, top, left + CELL, top + CELL), outline="#cc0000")
        else:
            picture.thumbnail((CELL, CELL))
            canvas.paste(picture, (left, top))
        draw.text((left, top + CELL), one.label[:16], fill="#333333", font=font)
    return _png(canvas)


def shrunk(data: bytes, width: int = 900) -> bytes:
    """A PNG at most `width` pixels wide, in a palette."""
    with Image.open(io.BytesIO(data)) as image:
        image = image.convert("RGB")
        image.thumbnail((width, 4 * width))
        return _png(image)


def markdown_image(png: bytes, says: str) -> str:
    """A picture inside Markdown."""
    return f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
