"""Where a picture's bytes lie in the files of artifacts: in tars, small pictures, embeddings, drawings."""

import tarfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact


@dataclass(frozen=True, order=True)
class Span:
    """A range of bytes of an artifact's file."""

    path: str
    offset: int
    length: int


def spans(artifact: Artifact, sha256s: AbstractSet[str], uids: AbstractSet[str]) -> set[Span]:
    """Every range that holds a picture, or what can be made of it back.

    Of a collection the members of its tars, of a dataset the picture's members with its captions, of dedup
    the small pictures, of score the embeddings.

    Args:
        artifact: of any stage.
        sha256s: of the pictures' bytes as collected.
        uids: their names in the collection that the artifact was made from.
    """
    if not uids:
        return set()
    if artifact.kind == "images":
        table = artifact.arrow_table(
            "images", ["file", "offset", "length"], [("sha256", "in", sorted(sha256s))]
        )
        return {Span(row["file"], row["offset"], row["length"]) for row in table.to_pylist()}
    if artifact.kind == "dataset":
        return {span for file in _files(artifact, "index", uids) for span in _members(artifact, file, uids)}
    if artifact.kind == "duplicates":
        return {
            span
            for name in artifact.names("index/")
            if name.endswith(".parquet")
            for span in _small_pictures(artifact, name, uids)
        }
    if artifact.kind == "scores":
        table = artifact.arrow_table("scores", ["file", "index"], [("uid", "in", sorted(uids))])
        return {_row(artifact, row["file"], row["index"]) for row in table.to_pylist()}
    return set()


def drawings(artifact: Artifact, uids: AbstractSet[str]) -> list[str]:
    """Files of an evaluation that show one of the pictures, drawn among others."""
    if artifact.kind != "evaluation" or "nearest.png" not in artifact.files:
        return []
    shown = artifact.json("report.json").get("nearest") or {}
    return ["nearest.png"] if uids & set(shown.get("uids", [])) else []


def stems(tar: Path) -> Iterator[str]:
    """What the members of a tar are called, without extensions: SHA-256 in collections, uids in datasets."""
    with tarfile.open(tar) as opened:
        for member in opened:
            yield Path(member.name).stem


def names_in(table: Path) -> Iterator[str]:
    """What a part's table calls its pictures: uids, SHA-256, URLs with their hosts and domains above."""
    columns = [name for name in pq.read_schema(table).names if name in ("uid", "key", "sha256", "url")]
    for column in pq.read_table(table, columns=columns).columns:
        for value in filter(None, column.to_pylist()):
            yield value
            if "://" in value:
                host = value.split("/")[2]
                labels = host.split(":")[0].split(".") if host[0] != "[" else [host.rpartition("]")[0] + "]"]
                yield from (".".join(labels[n:]) for n in range(len(labels)))


def _files(artifact: Artifact, table: str, uids: AbstractSet[str]) -> set[str]:
    rows = artifact.arrow_table(table, ["file"], [("uid", "in", sorted(uids))])
    return set(rows.column("file").to_pylist())


def _members(artifact: Artifact, file: str, uids: AbstractSet[str]) -> Iterator[Span]:
    """The picture of each uid in a tar, and what stands beside it."""
    with tarfile.open(artifact.path(file)) as tar:
        for member in tar:
            if Path(member.name).stem in uids:
                yield Span(file, member.offset_data, member.size)


def _small_pictures(artifact: Artifact, name: str, uids: AbstractSet[str]) -> Iterator[Span]:
    """Rows of the small pictures, and of what is kept beside them at the pictures' own size."""
    stem = name.removesuffix(".parquet")
    table = artifact.arrow_table(stem, ["uid", "crop_width", "crop_height"])
    with artifact.path(f"{stem}.crops.npy").open("rb") as opened:
        _, dtype, begin = _header(opened)
    for row, (uid, width, height) in enumerate(zip(*table.to_pydict().values(), strict=True)):
        length = 3 * width * height * dtype.itemsize
        if uid in uids:
            yield _row(artifact, f"{stem}.npy", row)
            yield Span(f"{stem}.crops.npy", begin, length)
        begin += length


def _row(artifact: Artifact, file: str, row: int) -> Span:
    """Where a row of an array lies."""
    with artifact.path(file).open("rb") as opened:
        shape, dtype, start = _header(opened)
    length = int(np.prod(shape[1:])) * dtype.itemsize
    return Span(file, start + row * length, length)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], "np.dtype[np.generic]", int]:
    """Shape, dtype and first byte of the data of an .npy file, as `np.save` writes them."""
    version = np.lib.format.read_magic(file)
    assert version == (1, 0), version
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    assert not fortran
    return shape, dtype, file.tell()
