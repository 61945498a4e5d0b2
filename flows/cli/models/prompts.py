"""What `sdflow generate` is asked to draw: captions, seeds, size, and where to. Imports no torch."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdmodel.config.picture import PICTURE
from sdmodel.diffusion.sizes import check_size
from stages.foreign_text import escape
from stages.regular_file import open_regular

if TYPE_CHECKING:
    from stages.report.grid import PictureWriter, Prompts

CAPTION = 10_000
"""Characters of a caption, at most, as in a config."""
BYTES = 64 * 2**20
"""Of a file of captions, at most."""
PICTURES, IN_GRID = 1_000_000, 1_000
"""Pictures, at most, of one command, and of one grid."""
SEED = 2**63
SIDE = 65_536
"""Pixels to a side, at most."""


@dataclass(frozen=True)
class Destination:
    """Where pictures go."""

    path: Path
    is_grid: bool
    """All in one PNG; else the path is a folder for a file each."""

    def write(
        self, drawing: "PictureWriter", prompts: "Prompts", progress: Callable[[int, int], None]
    ) -> list[Path]:
        """Draws all that is asked; the files."""
        if self.is_grid:
            drawing.grid(prompts, self.path, progress)
            return [self.path]
        self.path.mkdir(exist_ok=True)
        return list(drawing.files(prompts, self.path, progress))


def read_captions(file: str) -> list[str]:
    """The captions of a text file in UTF-8, one a line, without empty ones; none of no file, "" as name.

    file: path; "-" is standard input. ValueError: it cannot be read, is too large, or holds no caption."""
    if not file:
        return []
    name = f"--captions {escape(file)}"
    try:
        if file == "-":
            data = sys.stdin.buffer.read(BYTES + 1)
        else:
            with open_regular(Path(file)) as opened:
                data = opened.read(BYTES + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    if len(data) > BYTES:
        raise ValueError(f"{name} is larger than {BYTES // 2**20} MB; draw its captions in parts")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8: {error.reason} at byte {error.start:,}") from error
    lines = (line.strip() for line in re.split(r"\r\n|\r|\n", text))
    captions = [line for line in lines if line]
    if not captions:
        raise ValueError(f"{name} holds no caption; write one a line")
    return captions


def pictures_to_draw(
    captions: Sequence[str], out: str, *, count: int | None, seed: int | None, seeds: str
) -> tuple[list[int], Destination]:
    """The seeds that each caption is drawn with, and where to; arguments as of the command.

    ValueError: there is nothing to draw, too much, or no place for it."""
    if not captions:
        raise ValueError(
            'generate needs at least one caption, such as: sdflow generate models/demo "a red circle"'
        )
    if long := next((caption for caption in captions if len(caption) > CAPTION), None):
        raise ValueError(
            f"a caption of {len(long):,} characters, {escape(long, 80)!r}; {CAPTION:,} are the most"
        )
    chosen = _seeds(count, seed, seeds)
    destination = _destination(out)
    number = len(captions) * len(chosen)
    most = IN_GRID if destination.is_grid else PICTURES
    if number > most:
        what = "a grid; name a folder, ending in /, with --out" if destination.is_grid else "one command"
        raise ValueError(f"{number:,} pictures are too many, {most:,} are the most for {what}")
    return chosen, destination


def conditions_of(pairs: Sequence[str]) -> dict[str, str]:
    """What is asked beside captions, "NAME=VALUE" each; the model says later whether it knows it.

    ValueError: one is none, or a name comes twice."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--condition {escape(pair)} must be NAME=VALUE, as in shape=circle")
        if name in values:
            raise ValueError(
                f"--condition {escape(name)} is given twice; tags are one value, as in tags=red,round"
            )
        values[name] = value
    return values


def scales_of(pairs: Sequence[str], picture: float | None = None) -> dict[str, float] | None:
    """Guidance scales of conditions, "NAME=SCALE" each, and that of a picture; None: none are given.

    ValueError: one is no number."""
    scales: dict[str, float] = {}
    for name, text in conditions_of(pairs).items():
        try:
            scales[name] = float(text)
        except ValueError as error:
            raise ValueError(
                f"--condition-guidance {escape(name)}={escape(text)} must be a number, as in shape=3"
            ) from error
    if picture is not None:
        scales[PICTURE] = picture
    return scales or None


def size_of(text: str, settings: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) of "WIDTHxHEIGHT" or of the side of a square; None of "".

    settings: "model" of the model folder's config.json. ValueError: it is no size, or not one of the
    model's."""
    if not text:
        return None
    match = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", text.strip())
    sides = [int(side) for side in (match[1], match[2] or match[1])] if match else []
    if not sides or not all(1 <= side <= SIDE for side in sides):
        raise ValueError(f"--size {escape(text)} must be WIDTHxHEIGHT, as in 48x32, or one side of a square")
    size = (sides[1], sides[0])
    network, factor = settings["network"], settings.get("space", {}).get("factor", 1)
    check_size(size, network, settings[network], factor)
    return size


def _seeds(count: int | None, seed: int | None, seeds: str) -> list[int]:
    if seeds:
        if count is not None or seed is not None:
            raise ValueError(f"--seeds {escape(seeds)} names every seed; leave --seed and --count out")
        parts = [part.strip() for part in seeds.split(",")]
        if not all(re.fullmatch(r"[0-9]{1,19}", part) and int(part) < SEED for part in parts):
            raise ValueError(
                f"--seeds {escape(seeds)} must be whole numbers from 0 with commas between them, as in 0,1,2"
            )
        return [int(part) for part in parts]
    number, first = 4 if count is None else count, seed or 0
    if number < 1:
        raise ValueError(f"--count {number} must be at least 1")
    if not 0 <= first <= SEED - number:
        raise ValueError(f"--seed {first} must be at least 0 and, with {number} pictures, below 2^63")
    return list(range(first, first + min(number, PICTURES + 1)))


def _destination(out: str) -> Destination:
    path = Path(out)
    if out.endswith("/") or path.is_dir():
        if path.exists() and not path.is_dir():
            raise ValueError(f"--out {escape(out)} is no folder")
        destination = Destination(path, is_grid=False)
    elif path.suffix.lower() == ".png":
        destination = Destination(path, is_grid=True)
    else:
        raise ValueError(f"--out {escape(out)} must be a file named .png, or a folder, ending in /")
    if not path.parent.is_dir():
        raise ValueError(f"--out {escape(out)}: there is no folder {escape(path.parent)}")
    return destination
