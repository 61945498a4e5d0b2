"""A picture that somebody shows a model as a prompt: a file, opened and decoded as those of strangers are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.foreign_text import escape
from stages.image import FORMATS, ImageError, decode_image
from stages.regular_file import open_regular

BYTES = 64 * 2**20
"""Of a file, at most."""


@dataclass(frozen=True)
class ReferencePicture:
    """What a model is shown."""

    name: str
    """Of its file."""
    pixels: NDArray[np.uint8]
    """(H, W, 3), sRGB."""


def read_picture(path: Path, option: str) -> ReferencePicture:
    """The picture in a file, oriented, opaque and in sRGB.

    option: that names the file, for messages. ValueError: it cannot be read, is too large, or is no picture
    of a known format."""
    name = f"{option} {escape(str(path))}"
    try:
        with open_regular(path) as file:
            data = file.read(BYTES + 1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror or error}") from error
    if len(data) > BYTES:
        raise ValueError(f"{name} is larger than {BYTES // 2**20} MB; scale the picture down")
    try:
        return ReferencePicture(path.name, decode_image(data))
    except ImageError as error:
        known = ", ".join(FORMATS)
        raise ValueError(
            f"{name} is no picture that can be shown: {escape(str(error))}; known: {known}"
        ) from error
