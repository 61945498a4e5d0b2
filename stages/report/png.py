"""PNG files of drawn pictures: names that anything can hold, and what they are of as text inside."""

import json
import os
import re
import unicodedata
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdmodel.config.sampling import Sampling

SLUG = 48
"""Characters of a caption, at most, in a file's name."""
TEXT = 10_000
"""Characters of a text chunk, at most."""


def file_name(number: int, seed: int, caption: str) -> str:
    """Name of a picture: its number, its seed, and of the caption what is left in small ASCII letters, digits
    and hyphens, as "0007-2-a-red-circle.png"."""
    plain = unicodedata.normalize("NFKD", caption[:1000]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG].strip("-")
    return "-".join(part for part in (f"{number:04d}", str(seed), slug) if part) + ".png"


def described(
    captions: list[str],
    seeds: list[int],
    sampling: Sampling | None,
    model: str,
    conditions: Mapping[str, Any] | None = None,
) -> PngInfo:
    """Text chunks (iTXt) of a picture, or of a grid: "caption" (one a line), "seed", "model", and where there
    are some "sampling" (JSON) and "conditions" (JSON), each cut after TEXT characters."""
    chunks = {
        "caption": "\n".join(captions),
        "seed": ", ".join(str(seed) for seed in seeds),
        "model": model,
    }
    if sampling is not None:
        chunks["sampling"] = json.dumps(sampling.described(), ensure_ascii=False)
    if conditions:
        chunks["conditions"] = json.dumps(conditions, ensure_ascii=False, default=str)
    info = PngInfo()
    for name, text in chunks.items():
        # A lone surrogate, which a terminal's arguments can hold, is no text.
        info.add_itxt(name, text[:TEXT].encode("utf-8", "replace").decode())
    return info


def write_png(path: Path, picture: Image.Image, info: PngInfo) -> None:
    """A PNG that appears whole, in the place of what was there; a link there is replaced, not followed."""
    data = BytesIO()
    picture.save(data, "PNG", pnginfo=info)
    aside = path.with_name(f".{path.name}.{os.getpid()}.half")
    aside.unlink(missing_ok=True)
    with aside.open("xb") as file:
        file.write(data.getvalue())
    aside.replace(path)
