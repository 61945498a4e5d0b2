"""encode: frozen encoders read every picture and caption of a dataset once; training reads what they said."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.config.buckets import bucket_shapes
from sdmodel.data.buckets import nearest_bucket
from sdmodel.text.lengths import Truncation
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.encode import EncodeConfig
from stages.encode.pictures import write_feature_maps, write_pictures
from stages.fingerprint import JSON, fingerprint_of
from stages.output import Output, PartResult, PartSpec
from stages.pretrained.files import (
    autoencoder_config,
    autoencoder_input,
    check_fits,
    copy_files,
    text_files,
    text_input,
)
from stages.pretrained.image_encoder import image_encoder_input
from stages.stage import Request, Stats, StepSettings, stage

SPLITS = ("train", "validation")
"""Encoded; reports on the test split start from pixels."""
LATENTS = pa.schema(
    [
        ("uid", pa.string()),
        ("bucket", pa.int64()),  # of the shapes in latents.json; 0 without latents
        # Of the moments, "moments/train-00000-32x32.npy"; without latents of the features; "" with neither.
        ("file", pa.string()),
        ("row", pa.int64()),  # of both in their files
        ("text", pa.string()),  # states/TEXT.npy and pooled/TEXT.npy hold its captions; "" without text ...
        ("caption", pa.int64()),  # ... from this row on
        ("captions", pa.int64()),  # so many
    ]
)
"""`latents.parquet`: a row for each picture of `SPLITS`, in the dataset's order."""
NO_TEXT: dict[str, JSON] = {"pooled_width": 0, "token_width": 0, "text_length": 0}
EMPTY = "empty"
"""Name of the arrays of the empty caption."""
REMEDY = (
    "Set encode.length to 0 for all that the text encoder has places for, take another one, or shorten the "
    "captions (filter.max_words)."
)
"""Of captions that are cut."""


def _inputs(request: Request[EncodeConfig]) -> list[Any]:
    config = request.config
    encoder = image_encoder_input(request.store, "encode.encoder", config.encoder)
    encoders = (encoder,) if encoder else ()
    autoencoder = autoencoder_input(request.store, config.autoencoder)
    return [*request.read, autoencoder, text_input(config.text), encoders]


def _enabled(config: EncodeConfig) -> bool:
    return bool(config.autoencoder or config.text or config.encoder)


@stage(version=1, kind="latents", step=StepSettings(inputs=_inputs, enabled=_enabled))
def encode(
    dataset: Artifact,
    autoencoder: Snapshot | Artifact | None,
    text: Snapshot | None,
    encoders: tuple[Artifact, ...],
    config: EncodeConfig,
    out: Output,
) -> Stats:
    """Read the pictures and captions of a dataset's train and validation splits, once.

    Args:
        dataset: of shard.
        autoencoder: `autoencoder_input(store, config.autoencoder)`: which weights the name means, so that
            other weights are another request; None caches no latents.
        text: `text_input(config.text)`; None caches no text.
        encoders: `image_encoder_input(store, "encode.encoder", config.encoder)`, whose feature maps are
            cached; empty caches none.
        config: the encoders, and the pictures' size.
        out: gets `latents.json`, `latents.parquet` and `moments/`, `features/`, `states/`, `pooled/` as
            sdmodel.latents reads them, and copies of encoders: `autoencoder/`, `text_encoder/`, `tokenizer/`.

    Returns:
        The funnel (every row of the two splits is read), and what was cached: size, shapes, bytes, the
        latents' mean and deviation per channel over the train split.

    Raises:
        ValueError: no encoder is named, one cannot be loaded, the sizes don't fit it, or a picture cannot be
            read.
    """
    if autoencoder is None and text is None and not encoders:
        raise ValueError(
            "nothing to encode: set encode.autoencoder, encode.text or encode.encoder, or leave this step out"
        )
    if isinstance(autoencoder, Artifact):
        check_fits(config, autoencoder.json("model/config.json"))
    elif autoencoder is not None:
        check_fits(config, autoencoder_config(lambda: dataset.store, config.autoencoder))
    shapes = bucket_shapes(config.size, config.buckets, config.max_aspect)
    index = dataset.table("index")
    index = index.loc[index["split"].isin(SPLITS)].reset_index(drop=True)
    if not (index["split"] == "train").any():
        raise ValueError("encode: the dataset's train split is empty; loosen the filter")
    pictured = bool(autoencoder or encoders)
    index["bucket"] = nearest_bucket(index[["height", "width"]].to_numpy(), shapes) if pictured else 0
    table = index[["uid", "bucket"]].assign(file="", row=0, text="", caption=0, captions=0)
    facts: dict[str, JSON] = {"size": config.size, "shapes": [], "space": None}
    if autoencoder is not None:
        space = write_pictures(dataset, autoencoder, index, shapes, table, config, out)
        facts |= {"shapes": [list(shape) for shape in shapes], "space": space}
    for encoder in encoders:  # one, or none
        width = write_feature_maps(dataset, encoder, index, shapes, table, config, out)
        facts |= {"shapes": [list(shape) for shape in shapes], "feature_width": width}
    facts |= _captions(text, index, table, config, out) if text else NO_TEXT
    pq.write_table(
        pa.Table.from_pandas(table[LATENTS.names], LATENTS, preserve_index=False),
        out.write("latents.parquet"),
        compression="zstd",
    )
    out.write("latents.json").write_text(json.dumps(facts, indent=1, sort_keys=True))
    cached = sum(entry.size for name, entry in out.files.items() if name.endswith(".npy"))
    facts: dict[str, JSON] = {**facts, "precision": config.precision, "bytes": cached}
    return Stats(Funnel(len(index), len(index)), facts)


def _captions(
    encoder: Snapshot, index: pd.DataFrame, table: pd.DataFrame, config: EncodeConfig, out: Output
) -> dict[str, JSON]:
    """Parts of text states, a tar's captions each, and the empty caption; fills in the table's columns, and
    returns widths and length."""
    from sdmodel.device import resolve_device
    from sdmodel.latents.text import load_text_encoder
    from sdmodel.latents.write import write_text

    folder = copy_files(text_files(Path(config.text)), out.write("any").parent)

    @cache
    def model() -> Any:
        return load_text_encoder(folder, config.length, resolve_device(config.device))

    def make(target: Path, payload: dict[str, Any]) -> PartResult:
        dtype = np.float16 if config.precision == "fp16" else np.float32
        name, captions = payload["name"], payload["captions"]
        write_text(target, name, captions, model(), batch=config.batch, dtype=dtype)
        return PartResult(statistics=asdict(Truncation.of(model().count(captions), model().length)))

    captions_of: dict[str, list[str]] = {EMPTY: [""]}
    for file, members in index.groupby("file", sort=True):
        name = Path(str(file)).stem
        counts = [len(some) for some in members["captions"]]
        table.loc[members.index, "captions"] = counts
        table.loc[members.index, "caption"] = np.cumsum([0, *counts[:-1]])
        table.loc[members.index, "text"] = name if any(counts) else ""
        captions_of[name] = [str(caption["text"]) for some in members["captions"] for caption in some]
    depends = {"precision": config.precision, "length": config.length}
    specs = [
        PartSpec(f"text/{name}", [encoder.digest, name, fingerprint_of(captions)],
                 {"name": name, "captions": captions})
        for name, captions in captions_of.items() if captions
    ]  # fmt: skip
    parts = out.parts(specs, make, config=depends, note="encoding captions")
    for part in parts:
        out.add(part)
    cut = Truncation.total(part.statistics for part in parts[1:])  # the first is the empty caption
    pooled, states = (np.load(parts[0].path(f"{what}/{EMPTY}.npy")) for what in ("pooled", "states"))
    _, length, width = states.shape
    if words := cut.message(int(length), REMEDY):
        out.warn(words)
    return {"pooled_width": int(pooled.shape[-1]), "token_width": int(width), "text_length": int(length)}
