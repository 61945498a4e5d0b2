"""Small sheets of pictures for people, as data: URLs that Markdown can hold."""

import base64
import hashlib
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from stages.artifacts.files import Files
from stages.foreign_text import escape_markdown
from stages.image import ImageError, decode_image
from stages.redaction import redact

CELL = 80
"""Pixels to a side of a shown picture."""
GAP = 4
LABEL = 12
COLUMNS = 8
COLOURS = 128
"""Of the sheet's palette: a third of the bytes, and nobody judges colours at this size."""


@dataclass(frozen=True)
class Shown:
    """A picture to show: where its bytes lie, what they should be, and a word below it."""

    files: Files
    file: str
    offset: int
    length: int
    hashed: str | int
    """SHA-256 of the bytes (hex), of a collection; their CRC-32, of a dataset."""
    label: str = ""


def sheet(shown: Sequence[Shown], columns: int = COLUMNS) -> bytes:
    """A PNG of pictures in rows, each fitted into a square with its label below.

    Args:
        shown: what to show; bytes that don't decode leave their square empty, those that are not what the
            table says are labelled "damaged".
        columns: pictures in a row.
    """
    columns = max(1, min(columns, len(shown)))
    rows = -(-len(shown) // columns)
    step = CELL + GAP
    canvas = Image.new("RGB", (columns * step + GAP, rows * (step + LABEL) + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(9)
    for position, source in enumerate(shown):
        left = GAP + position % columns * step
        top = GAP + position // columns * (step + LABEL)
        data, label = source.files.read(source.file, source.offset, source.length), source.label
        if source.hashed not in (zlib.crc32(data), hashlib.sha256(data).hexdigest()):
            picture, label = None, "damaged"
        else:
            picture = _decoded(data)
        if picture is None:
            draw.rectangle((left, top, left + CELL, top + CELL), outline="#cc0000")
        else:
            if (times := CELL // max(picture.size)) > 1:  # a few pixels would be lost in their cell
                picture = picture.resize(
                    (times * picture.width, times * picture.height), Image.Resampling.NEAREST
                )
            picture.thumbnail((CELL, CELL))
            canvas.paste(picture, (left, top))
        draw.text((left, top + CELL), label[:16], fill="#333333", font=font)
    return _png(canvas)


def _decoded(data: bytes) -> Image.Image | None:
    try:
        return Image.fromarray(decode_image(data))
    except ImageError:
        return None


def shrunk(data: bytes, width: int = 900) -> bytes:
    """A PNG at most `width` pixels wide, in a palette."""
    with Image.open(io.BytesIO(data)) as image:
        image = image.convert("RGB")
        image.thumbnail((width, 4 * width))
        return _png(image)


class Markdown(str):
    """Text that is Markdown and holds nothing foreign."""


def code(text: str) -> Markdown:
    """Hex digits and the like, in code's letters."""
    assert text.isalnum(), text
    return Markdown(f"`{text}`")


def markdown_image(png: bytes, says: str) -> str:
    """A picture inside Markdown."""
    return f"![{escape_markdown(says)}](data:image/png;base64,{base64.b64encode(png).decode()})"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table. Texts are shown as they stand, but for those that are `Markdown` already."""
    lines = [f"| {' | '.join(map(_cell, head))} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if isinstance(value, Markdown) else escape_markdown(redact(text))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
