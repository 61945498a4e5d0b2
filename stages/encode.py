"""encode: frozen encoders read every picture and caption of a dataset once; training reads what they said."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache, reduce
from operator import add
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
from stages.errors import DamagedError
from stages.fingerprint import JSON, fingerprint_of
from stages.output import Output, Part, PartResult, PartSpec
from stages.pretrained.files import (
    autoencoder_config,
    autoencoder_files,
    autoencoder_input,
    check_fits,
    copy_files,
    text_files,
    text_input,
)
from stages.stage import Request, Stats, StepSettings, stage

SPLITS = ("train", "validation")
"""Encoded; reports on the test split start from pixels."""
LATENTS = pa.schema(
    [
        ("uid", pa.string()),
        ("bucket", pa.int64()),  # of the shapes in latents.json; 0 without latents
        ("file", pa.string()),  # of the moments, "moments/train-00000-32x32.npy"; "" without latents ...
        ("row", pa.int64()),  # ... and the row in it
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


def _inputs(request: Request[EncodeConfig]) -> list[Artifact | Snapshot | None]:
    config = request.config
    return [*request.read, autoencoder_input(request.store, config.autoencoder), text_input(config.text)]


def _enabled(config: EncodeConfig) -> bool:
    return bool(config.autoencoder or config.text)


@stage(version=1, kind="latents", step=StepSettings(inputs=_inputs, enabled=_enabled))
def encode(
    dataset: Artifact,
    autoencoder: Snapshot | Artifact | None,
    text: Snapshot | None,
    config: EncodeConfig,
    out: Output,
) -> Stats:
    """Read the pictures and captions of a dataset's train and validation splits, once.

    Args:
        dataset: of shard.
        autoencoder: `autoencoder_input(store, config.autoencoder)`: which weights the name means, so that
            other weights are another request; None caches no latents.
        text: `text_input(config.text)`; None caches no text.
        config: the encoders, and the pictures' size.
        out: gets `latents.json`, `latents.parquet` and `moments/`, `states/`, `pooled/` as sdmodel.latents
            reads them, and copies of the encoders: `autoencoder/`, `text_encoder/`, `tokenizer/`.

    Returns:
        The funnel (every row of the two splits is read), and what was cached: size, shapes, bytes, the
        latents' mean and deviation per channel over the train split.

    Raises:
        ValueError: no encoder is named, one cannot be loaded, the sizes don't fit it, or a picture cannot be
            read.
    """
    if autoencoder is None and text is None:
        raise ValueError("nothing to encode: set encode.autoencoder or encode.text, or leave this step out")
    if isinstance(autoencoder, Artifact):
        check_fits(config, autoencoder.json("model/config.json"))
    elif autoencoder is not None:
        check_fits(config, autoencoder_config(lambda: dataset.store, config.autoencoder))
    shapes = bucket_shapes(config.size, config.buckets, config.max_aspect)
    index = dataset.table("index")
    index = index.loc[index["split"].isin(SPLITS)].reset_index(drop=True)
    if not (index["split"] == "train").any():
        raise ValueError("encode: the dataset's train split is empty; loosen the filter")
    index["bucket"] = nearest_bucket(index[["height", "width"]].to_numpy(), shapes) if autoencoder else 0
    table = index[["uid", "bucket"]].assign(file="", row=0, text="", caption=0, captions=0)
    facts: dict[str, JSON] = {"size": config.size, "shapes": [], "space": None}
    if autoencoder is not None:
        space = _pictures(dataset, autoencoder, index, shapes, table, config, out)
        facts |= {"shapes": [list(shape) for shape in shapes], "space": space}
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


def _pictures(
    dataset: Artifact,
    encoder: Snapshot | Artifact,
    index: pd.DataFrame,
    shapes: Sequence[tuple[int, int]],
    table: pd.DataFrame,
    config: EncodeConfig,
    out: Output,
) -> dict[str, JSON]:
    """Parts of moments, a tar each; fills in the table's columns, and returns the space."""
    from sdmodel.device import resolve_device
    from sdmodel.latents.autoencoder import load_autoencoder
    from sdmodel.latents.write import MomentSums, moment_places, space_of, write_moments

    folder = out.write("autoencoder/any").parent
    if isinstance(encoder, Artifact):
        copy_files({name: encoder.path(f"model/{name}") for name in _model_files(encoder)}, folder)
    else:
        copy_files(autoencoder_files(Path(config.autoencoder)), folder)

    @cache
    def model() -> Any:  # loaded when the first unfinished part needs it, and at the end
        return load_autoencoder(folder, resolve_device(config.device))

    def make(target: Path, payload: dict[str, Any]) -> PartResult:
        tar, rows = payload["tar"], payload["rows"]
        with ThreadPoolExecutor(16) as threads:
            sums = write_moments(
                target,
                payload["name"],
                [tuple(shape) for *_, shape in rows],
                lambda row, shape: _picture(tar, rows[row], shape),
                model(),
                batch=config.batch,
                dtype=np.float16 if config.precision == "fp16" else np.float32,
                map_=threads.map,
            )
        return PartResult(statistics=asdict(sums))

    specs: list[PartSpec] = []
    depends = {"precision": config.precision}
    for file, members in index.groupby("file", sort=True):
        name = Path(str(file)).stem
        of_each = [shapes[bucket] for bucket in members["bucket"]]
        rows = _rows(members, of_each)
        inputs = [encoder.digest, name, dataset.entry(str(file)).sha256, fingerprint_of(rows)]
        # A tar of a remote store is fetched only if it must be read.
        known = out.find(f"moments/{name}", inputs, config=depends) is not None
        tar = "" if known else str(dataset.path(str(file)))
        specs.append(PartSpec(f"moments/{name}", inputs, {"name": name, "tar": tar, "rows": rows}))
        table.loc[members.index, ["file", "row"]] = moment_places(name, of_each)
    parts = out.parts(specs, make, config=depends, note="encoding pictures")
    for part in parts:
        out.add(part)
    train = {f"moments/{Path(file).stem}" for file in index.loc[index["split"] == "train", "file"]}
    sums = [_sums(part, MomentSums) for part in parts if part.key in train]
    return asdict(space_of(reduce(add, sums), model().factor))


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


def _rows(members: pd.DataFrame, shapes: Sequence[tuple[int, int]]) -> list[list[JSON]]:
    """uid, place in the tar, checksum and shape of each picture, as `_picture` takes them."""
    columns = (members[name] for name in ("uid", "offset", "length", "checksum"))
    return [
        [str(uid), int(offset), int(length), int(checksum), list(shape)]
        for uid, offset, length, checksum, shape in zip(*columns, shapes, strict=True)
    ]


def _picture(tar: str, row: Sequence[Any], shape: tuple[int, int]) -> Any:
    """(H, W, 3) uint8, scaled and cropped as training does."""
    from sdmodel.data.index import check_bytes
    from sdmodel.data.pixels import decode

    uid, offset, length, checksum, _ = row
    with Path(tar).open("rb") as file:
        file.seek(offset)
        data = file.read(length)
    try:
        check_bytes(data, checksum, uid, tar, offset)
    except ValueError as error:
        raise DamagedError(str(error)) from error
    try:
        return decode(data, shape)
    except OSError as error:
        raise ValueError(f"{tar}: picture {uid} cannot be decoded: {error}") from error


def _model_files(model: Artifact) -> list[str]:
    return [name.removeprefix("model/") for name in model.names("model/")]


def _sums(part: Part, kind: Any) -> Any:
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in part.statistics.items()})
