"""A cache of latents and text states of the test dataset, made by tiny frozen encoders."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.data.index import read_index
from sdmodel.data.pixels import decode
from sdmodel.latents import autoencoder, text
from sdmodel.latents.write import moment_places, space_of, write_features, write_moments, write_text
from sdmodel.selfsupervised.encoder import load
from sdmodel.selfsupervised.teacher import FrozenTeacher
from tests import frozen

SIZE = 16


def write(
    folder: Path,
    dataset: Any,
    *,
    pictures: bool = True,
    words: bool = True,
    seen: Path | None = None,
    seed: int = 0,
) -> Path:
    """Of both splits, as the stage encode leaves it; seen: folder of an image encoder, for its features."""
    splits = [read_index(dataset.index, dataset.tars, split) for split in ("train", "validation")]
    rows = [(index, row) for index in splits for row in range(len(index))]
    held: dict[str, Any] = {"size": SIZE, "shapes": [], "space": None}
    held |= {"pooled_width": 0, "token_width": 0, "text_length": 0}
    files: list[tuple[str, int]] = [("", 0)] * len(rows)
    shapes = [(SIZE, SIZE)] * len(rows)

    def picture(row: int, shape: tuple[int, int]) -> Any:
        index, number = rows[row]
        return decode(index.bytes_of(number), shape)

    if pictures:
        encoder = autoencoder.load_autoencoder(frozen.autoencoder(folder / "autoencoder", seed=seed))
        sums = write_moments(folder, "all", shapes, picture, encoder, batch=32, dtype=np.float32)
        held |= {"shapes": [[SIZE, SIZE]], "space": asdict(space_of(sums, encoder.factor))}
        files = moment_places("all", shapes)
    if seen:
        teacher = FrozenTeacher(load(seen), SIZE)
        write_features(folder, "all", shapes, picture, teacher.maps, batch=32)
        held |= {"shapes": [[SIZE, SIZE]], "feature_width": teacher.width}
        files = moment_places("all", shapes)
    captions = [index.captions[row] for index, row in rows]
    if words:
        reader = text.load_text_encoder(frozen.text_encoder(folder, seed=seed))
        said = [caption for some in captions for caption in some]
        write_text(folder, "all", said, reader, batch=64, dtype=np.float32)
        write_text(folder, "empty", [""], reader, batch=1, dtype=np.float32)
        held |= {"pooled_width": 8, "token_width": 8, "text_length": 8}
    columns = {
        "uid": [index.uids[row] for index, row in rows],
        "bucket": [0] * len(rows),
        "file": [file for file, _ in files],
        "row": [row for _, row in files],
        "text": ["all" if words else ""] * len(rows),
        "caption": np.cumsum([0, *map(len, captions[:-1])]).tolist(),
    }
    pq.write_table(pa.table(columns), folder / "latents.parquet")
    (folder / "latents.json").write_text(json.dumps(held))
    return folder
