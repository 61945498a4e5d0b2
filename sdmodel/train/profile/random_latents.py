"""Latents and text states of nothing: random numbers, laid out and as large as those of an encoded dataset.

For measuring how fast a training on them would be before anything is encoded.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.config.buckets import bucket_shapes
from sdmodel.config.train import TrainConfig
from sdmodel.data.buckets import nearest_bucket


def write(folder: Path, index: Path, config: TrainConfig, length: int = 0, seed: int = 0) -> None:
    """Makes a cache of a folder that holds frozen encoders.

    Args:
        folder: holds `autoencoder/`, `text_encoder/` and `tokenizer/`, `image_encoder/`, or some of them;
            gets the rest of a cache.
        index: of the pictures whose cache it is to be.
        config: of the training.
        length: tokens of a caption; 0 is as many as the text encoder knows places for.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = pq.read_table(index).to_pylist()
    settings: dict[str, Any] = {"size": config.size, "shapes": [], "space": None}
    settings |= {"pooled_width": 0, "token_width": 0, "text_length": 0}
    columns: dict[str, list[Any]] = {
        "uid": [row["uid"] for row in rows],
        "bucket": [0] * len(rows),
        "file": [""] * len(rows),
        "row": [0] * len(rows),
        "text": [""] * len(rows),
        "caption": [0] * len(rows),
    }
    if (file := folder / "autoencoder/config.json").exists():
        model = json.loads(file.read_text())
        channels, factor = model["latent_channels"], 2 ** (len(model["block_out_channels"]) - 1)
        sizes = _buckets("moments", rows, config, columns, settings)
        (folder / "moments").mkdir()
        for bucket, (height, width) in enumerate(sizes):
            moments = rng.standard_normal((2, 2 * channels, height // factor, width // factor), np.float32)
            np.save(folder / f"moments/{bucket}.npy", moments[None])  # one for all: they are read alike
        space = {"channels": channels, "factor": factor, "mean": [0.0] * channels}
        settings["space"] = {**space, "deviation": [1.0] * channels}
    if (folder / "image_encoder").is_dir():
        settings["feature_width"] = _write_features(folder, rows, config, columns, settings, rng)
    if (file := folder / "text_encoder/config.json").exists():
        model = json.loads(file.read_text())
        width, length = model["hidden_size"], length or model["max_position_embeddings"]
        most = max(len(row["captions"]) for row in rows)
        for what, shape in (("states", (length, width)), ("pooled", (width,))):
            (folder / what).mkdir()
            for name, count in (("all", most), ("empty", 1)):
                states = rng.standard_normal(shape, np.float32)
                np.save(folder / f"{what}/{name}.npy", np.repeat(states[None], count, 0))
        columns["text"] = ["all"] * len(rows)
        settings |= {"pooled_width": width, "token_width": width, "text_length": length}
    pq.write_table(pa.table(columns), folder / "latents.parquet")
    (folder / "latents.json").write_text(json.dumps(settings))


def _buckets(
    what: str,
    rows: list[dict[str, Any]],
    config: TrainConfig,
    columns: dict[str, list[Any]],
    settings: dict[str, Any],
) -> list[tuple[int, int]]:
    """Shapes (H, W) of the buckets; fills in which picture is in which, and its array's file below WHAT."""
    sizes = bucket_shapes(config.size, config.data.buckets, config.data.max_aspect)
    sides = np.array([(row["height"], row["width"]) for row in rows])
    columns["bucket"] = nearest_bucket(sides, sizes).tolist()
    columns["file"] = [f"{what}/{bucket}.npy" for bucket in columns["bucket"]]
    settings["shapes"] = [list(shape) for shape in sizes]
    return sizes


def _write_features(
    folder: Path,
    rows: list[dict[str, Any]],
    config: TrainConfig,
    columns: dict[str, list[Any]],
    settings: dict[str, Any],
    rng: np.random.Generator,
) -> int:
    """Feature maps as those of the image encoder in a folder; their channels."""
    import torch

    from sdmodel.latents.cache import FEATURES
    from sdmodel.selfsupervised.encoder import load
    from sdmodel.selfsupervised.teacher import FrozenTeacher

    teacher = FrozenTeacher(load(folder / "image_encoder"), config.size)
    latent = settings["space"] is not None
    sizes = _buckets("moments" if latent else FEATURES, rows, config, columns, settings)
    (folder / FEATURES).mkdir()
    for bucket, (height, width) in enumerate(sizes):
        _, channels, h, w = teacher.maps(torch.zeros(1, 3, height, width)).shape
        maps = rng.standard_normal((1, 2, channels, h, w), np.float32).astype(np.float16)
        np.save(folder / f"{FEATURES}/{bucket}.npy", maps)
    return teacher.width
