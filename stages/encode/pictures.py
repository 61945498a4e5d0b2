"""What frozen encoders make of a dataset's pictures: moments of an autoencoder, feature maps of an image
encoder; a part for each tar."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.artifacts.artifact import Artifact, Snapshot
from stages.config.encode import EncodeConfig
from stages.errors import DamagedError
from stages.fingerprint import JSON, fingerprint_of
from stages.output import Output, Part, PartResult, PartSpec
from stages.pretrained.files import autoencoder_files, copy_files

FEATURES = "features"
"""Folder of feature maps."""


def write_pictures(
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
    from sdmodel.latents.write import MomentSums, space_of, write_moments

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

    depends: dict[str, JSON] = {"precision": config.precision}
    specs = _picture_specs("moments", encoder.digest, depends, dataset, index, shapes, out)
    _note_places("moments", index, shapes, table)
    parts = out.parts(specs, make, config=depends, note="encoding pictures")
    for part in parts:
        out.add(part)
    train = {f"moments/{Path(file).stem}" for file in index.loc[index["split"] == "train", "file"]}
    sums = [_sums(part, MomentSums) for part in parts if part.key in train]
    return asdict(space_of(reduce(add, sums), model().factor))


def write_feature_maps(
    dataset: Artifact,
    encoder: Artifact,
    index: pd.DataFrame,
    shapes: Sequence[tuple[int, int]],
    table: pd.DataFrame,
    config: EncodeConfig,
    out: Output,
) -> int:
    """Parts of feature maps, a tar each; fills in the table's columns where no moments have, and returns the
    maps' channels."""
    from sdmodel.device import resolve_device
    from sdmodel.latents.write import write_features
    from sdmodel.selfsupervised.encoder import load
    from sdmodel.selfsupervised.teacher import FrozenTeacher

    device = resolve_device(config.device)

    @cache
    def model() -> Any:
        return FrozenTeacher(load(encoder.lay("model/", out.folder / "encoder")), config.size)

    def make(target: Path, payload: dict[str, Any]) -> PartResult:
        tar, rows = payload["tar"], payload["rows"]
        with ThreadPoolExecutor(16) as threads:
            write_features(
                target,
                payload["name"],
                [tuple(shape) for *_, shape in rows],
                lambda row, shape: _picture(tar, rows[row], shape),
                lambda pixels: model().maps(pixels.to(device)),
                batch=config.batch,
                map_=threads.map,
            )
        return PartResult()

    depends: dict[str, JSON] = {"size": config.size}  # which chooses the map
    specs = _picture_specs(FEATURES, encoder.digest, depends, dataset, index, shapes, out)
    if not any(table["file"]):
        _note_places(FEATURES, index, shapes, table)
    parts = out.parts(specs, make, config=depends, note="encoding pictures")
    for part in parts:
        out.add(part)
    return model().width


def _picture_specs(
    what: str,
    digest: str,
    depends: dict[str, JSON],
    dataset: Artifact,
    index: pd.DataFrame,
    shapes: Sequence[tuple[int, int]],
    out: Output,
) -> list[PartSpec]:
    """Parts of what an encoder makes of pictures, a tar each.

    Args:
        what: folder of its arrays.
        digest: of the encoder.
        depends: what else the arrays depend on.
        dataset: the tars.
        index: their rows, each with its bucket.
        shapes: of the buckets.
        out: knows which parts are finished.
    """
    specs: list[PartSpec] = []
    for file, members in index.groupby("file", sort=True):
        name = Path(str(file)).stem
        rows = _rows(members, [shapes[bucket] for bucket in members["bucket"]])
        inputs = [digest, name, dataset.entry(str(file)).sha256, fingerprint_of(rows)]
        # A tar of a remote store is fetched only if it must be read.
        known = out.find(f"{what}/{name}", inputs, config=depends) is not None
        tar = "" if known else str(dataset.path(str(file)))
        specs.append(PartSpec(f"{what}/{name}", inputs, {"name": name, "tar": tar, "rows": rows}))
    return specs


def _note_places(
    what: str, index: pd.DataFrame, shapes: Sequence[tuple[int, int]], table: pd.DataFrame
) -> None:
    """Fills in where each picture's array lies."""
    from sdmodel.latents.write import moment_places

    for file, members in index.groupby("file", sort=True):
        of_each = [shapes[bucket] for bucket in members["bucket"]]
        table.loc[members.index, ["file", "row"]] = moment_places(Path(str(file)).stem, of_each, what)


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
