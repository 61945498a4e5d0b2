"""Samples for people, as the training goes on: the same captions from the same noise.

samples/000016000.png   one row of pictures above their captions
        progress.png    such rows one above the other, oldest first, captions below
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from sdmodel.captioned_sheet import captioned_sheet, enlarged
from sdmodel.data.pixels import to_uint8
from sdmodel.objective import Sampler

CELL = 128
"""Pixels to a side of a shown picture: smaller ones are enlarged by whole factors up to there, so that their
pixels stay visible; larger ones are shrunk to it where rows are stacked."""
GAP = 8
LINE = 13
"""Pixels to a line of a caption."""
LABEL = 76
"""Pixels to the left of a stacked row, for the images seen."""
STACKED = 16
"""Most rows that are stacked; of more, some evenly chosen, with the first and the last."""
PROGRESS = "progress.png"


class Grid:
    """Draws `captions` into `folder`, each from noise of its own that is always the same."""

    def __init__(
        self, sample: Sampler, captions: Sequence[str], folder: Path, *, side: int = 0, writes: bool = True
    ):
        """side: pixels to a side at which pictures of all sizes are shown, enlarged by repeated pixels; 0
        shows them as they are drawn.
        writes: false draws the pictures alone, for a process whose part of the weights the drawing needs.

        ValueError: there are no captions."""
        if not captions:
            raise ValueError("captions=(): a grid of samples needs at least one; name some, or draw no grid")
        self.sample, self.captions, self.folder = sample, list(captions), folder
        self.side, self.writes = side, writes

    def draw(self, images: int, size: int = 0) -> Path:
        """Writes the row of the model after `images` images, and the rows until then as one picture; returns
        the row's path.

        Rows of later times, which a killed training left, are not shown: they will be drawn again.
        size: pixels to a side that are drawn; 0 is the model's."""
        pictures = self.sample(self.captions, list(range(len(self.captions))), size)
        if self.side and pictures.shape[-1] != self.side:
            pictures = torch.nn.functional.interpolate(pictures, (self.side, self.side), mode="nearest")
        path = self.folder / f"{images:09d}.png"
        if not self.writes:
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        row, height = captioned(to_uint8(pictures).permute(0, 2, 3, 1).cpu().numpy(), self.captions)
        _write(row, path)
        rows = sorted(file for file in self.folder.glob("*.png") if file.stem.isdigit())
        shown = chosen([file for file in rows if int(file.stem) <= images])
        _write(stacked(shown, height), self.folder / PROGRESS)
        return path


def captioned(pictures: np.ndarray, captions: Sequence[str]) -> tuple[Image.Image, int]:
    """One row of pictures (N, H, W, 3) uint8 above their captions, and the height of its part above them."""
    high = pictures.shape[1]
    factor = max(1, CELL // max(pictures.shape[1:3]))
    cells = [enlarged(picture, factor) for picture in pictures]
    sheet = captioned_sheet(cells, captions, columns=len(cells), gap=GAP, line=LINE, spacing=2, width=CELL)
    return sheet, high * factor + GAP


def stacked(rows: Sequence[Path], height: int) -> Image.Image:
    """Rows one above the other, each beside the images seen, and below them the captions of the last.

    rows: PNGs of `captioned`, named by images seen. height: of the part above the captions."""
    sheets = [Image.open(row).convert("RGB") for row in rows]
    scale = min(1.0, (CELL + GAP) / height)
    size = (round(sheets[-1].width * scale), round(height * scale))
    captions = sheets[-1].crop((0, height, sheets[-1].width, sheets[-1].height))
    below = captions if scale == 1 else captions.resize((size[0], round(captions.height * scale)))
    whole = Image.new("RGB", (LABEL + size[0], len(rows) * size[1] + below.height), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(11)
    for place, (row, sheet) in enumerate(zip(rows, sheets, strict=True)):
        top = place * size[1]
        part = sheet.crop((0, 0, sheet.width, height))
        whole.paste(part.resize(size, Image.Resampling.BOX) if scale < 1 else part, (LABEL, top))
        pen.text((GAP, top + size[1] // 2), f"{int(row.stem):,}", fill="#222222", font=font)
    whole.paste(below, (LABEL, len(rows) * size[1]))
    return whole


def chosen(rows: list[Path]) -> list[Path]:
    """STACKED of them at most, evenly, the first and the last among them."""
    if len(rows) <= STACKED:
        return rows
    return [rows[round(place * (len(rows) - 1) / (STACKED - 1))] for place in range(STACKED)]


def _write(picture: Image.Image, path: Path) -> None:
    """A PNG that appears whole."""
    aside = path.with_suffix(".half")
    picture.save(aside, "PNG")
    aside.rename(path)
