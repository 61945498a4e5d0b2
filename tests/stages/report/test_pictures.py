"""Sheets of pictures: what is shown is what was published, or is said to be damaged."""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from stages.artifacts.artifact import Artifact
from stages.demo.world import render, scene
from stages.report.pictures import Shown, sheet
from stages.report.summary import summary
from stages.store import open_store
from tests.stages.handmade import Picture, collection, save


def shown(images: Artifact) -> list[Shown]:
    rows = images.table("images").to_dict("records")
    return [Shown(images, row["file"], row["offset"], row["length"], row["sha256"]) for row in rows]


def test_a_damaged_picture_is_labelled_and_the_others_are_shown(tmp_path: Path) -> None:
    pictures = [Picture(f"{n}", save(render(scene(1, n), 40), "jpeg")) for n in range(3)]
    images = collection(open_store(str(tmp_path / "store")), [pictures])
    before = np.asarray(Image.open(io.BytesIO(sheet(shown(images)))).convert("RGB"))
    row = images.table("images").to_dict("records")[1]
    path = images.path(row["file"])
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[row["offset"] + random.Random(0).randrange(row["length"])] ^= 1
    path.write_bytes(data)
    after = np.asarray(Image.open(io.BytesIO(sheet(shown(images)))).convert("RGB"))
    change = np.abs(before.astype(int) - after).mean(axis=(0, 2))  # by column; the palette changes a little
    first, second, third = (change[start : start + 84].mean() for start in (0, 84, 168))
    assert second > 4 * max(first, third)
    assert "data:image/png" in summary(images)
