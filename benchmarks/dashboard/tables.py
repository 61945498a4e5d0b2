"""Tables, tars and arrays of a line of stages, made by code: as many rows as one likes, in seconds."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from stages.record import DUPLICATES, IMAGES, INDEX, REJECTS, SCORES, SELECTION, uid_of

TAR_ROWS = 10_000
WIDTH = 512
"""Of an embedding, as CLIP ViT-B/32's."""
SOURCE = "web"
REASONS = ("http_not_found", "opted_out", "timeout", "too_small", "truncated")
SHAPES = ("circle", "square", "triangle", "star", "crescent")
COLOURS = ("red", "green", "blue", "orange", "purple", "grey")
SIDE = 24
"""Pixels of a picture."""
DRAWN = 512
"""Different pictures; the rows take turns."""
LOW = 0.3
"""Least similarity of what is selected."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table of URLs, by uid in order, and what becomes of each."""

    numbers: NDArray[np.int64]
    """Of the rows in the table of URLs."""
    uids: list[str]
    rejected: NDArray[np.bool_]
    similarity: NDArray[np.float32]

    @classmethod
    def drawn(cls, rows: int, seed: int) -> "Rows":
        """Of `rows` rows 5 % do not come; similarities are N(.5, .1)."""
        random = np.random.default_rng(seed)
        uids = [uid_of(SOURCE, location(number)) for number in range(rows)]
        order = np.array(sorted(range(rows), key=uids.__getitem__), np.int64)
        similarity = random.normal(0.5, 0.1, rows).astype(np.float32)
        return cls(order, [uids[number] for number in order], random.random(rows) < 0.05, similarity)

    def where(self, rows: NDArray[np.bool_]) -> "Rows":
        """Some of them."""
        chosen = np.flatnonzero(rows)
        uids = [self.uids[place] for place in chosen]
        return Rows(self.numbers[chosen], uids, self.rejected[chosen], self.similarity[chosen])

    def __len__(self) -> int:
        return len(self.uids)


def location(number: int) -> str:
    """Address of a row."""
    return f"https://host{number % 997}.example/photos/{number:07d}.png"


def caption(number: int) -> str:
    """Caption of a row."""
    colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number // 7 % len(SHAPES)]
    return f"a {colour} {shape} on a plain background, number {number}"


def pictures() -> list[bytes]:
    """PNG files of noise in one colour each."""
    random = np.random.default_rng(0)
    files: list[bytes] = []
    for _ in range(DRAWN):
        colour = random.integers(40, 215, 3)
        pixels = colour + random.integers(-30, 30, (SIDE, SIDE, 1))
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "png")
        files.append(buffer.getvalue())
    return files


def write_tar(path: Path, rows: Rows, files: list[bytes]) -> tuple[list[int], list[int]]:
    """A tar with a member for each row; offsets and lengths of the members' data."""
    offsets: list[int] = []
    lengths: list[int] = []
    position = 0
    with path.open("wb") as file:
        for uid, number in zip(rows.uids, rows.numbers.tolist(), strict=True):
            data = files[number % DRAWN]
            member = tarfile.TarInfo(f"{uid}.png")
            member.size = len(data)
            padding = -len(data) % tarfile.BLOCKSIZE
            position += file.write(member.tobuf(tarfile.USTAR_FORMAT))
            offsets.append(position)
            lengths.append(len(data))
            position += file.write(data + b"\0" * padding)
        file.write(b"\0" * 2 * tarfile.BLOCKSIZE)
    return offsets, lengths


def write_rows(path: Path, schema: pa.Schema, columns: Mapping[str, Any], rows: int) -> None:
    """A table with these columns; what a schema has besides is null, or as a single value says, for all."""
    arrays: list[Any] = []
    for field in schema:
        values = columns.get(field.name)
        if values is None or isinstance(values, str | int | float):
            arrays.append(pa.repeat(pa.scalar(values, field.type), rows))
        else:
            arrays.append(pa.array(values, field.type))
    table = pa.Table.from_arrays(arrays, schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=1 << 20)


def captions_of(rows: Rows) -> Any:
    """The column of captions, one a row."""
    texts = pa.array([caption(number) for number in rows.numbers.tolist()])
    count = len(rows)
    fields = [texts, pa.repeat(pa.scalar("caption"), count), pa.repeat(pa.scalar(1.0, pa.float32()), count)]
    structs: Any = pa.StructArray.from_arrays(fields, names=["text", "source", "weight"])
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32)), structs)


def images_columns(rows: Rows, places: Mapping[str, Any], files: list[bytes]) -> Mapping[str, Any]:
    """What `images.parquet` says of rows that lie at these places."""
    hashes = [hashlib.sha256(data).hexdigest() for data in files]
    numbers = rows.numbers.tolist()
    return {
        "uid": rows.uids,
        "sha256": [hashes[number % DRAWN] for number in numbers],
        "source": SOURCE,
        "location": [location(number) for number in numbers],
        "captions": captions_of(rows),
        "licence": "CC0-1.0",
        "columns": "{}",
        "format": "png",
        "width": SIDE,
        "height": SIDE,
        "frames": 1,
        "repairs": [[]] * len(rows),
        **places,
    }


def rejects_columns(rows: Rows, reasons: list[str], rule: str) -> Mapping[str, Any]:
    """What `rejects.parquet` says of rows, each with its reason."""
    numbers = rows.numbers.tolist()
    return {
        "uid": rows.uids,
        "reason": reasons,
        "rule": rule,
        "detail": "",
        "merged_into": "",
        "location": [location(number) for number in numbers],
        "row": [f"{SOURCE}:rows.parquet:{number}" for number in numbers],
    }


def reasons_of(rows: Rows) -> list[str]:
    """Why each of the rows did not come."""
    return [REASONS[number % len(REASONS)] for number in rows.numbers.tolist()]


SCHEMAS = {
    "images": IMAGES,
    "rejects": REJECTS,
    "duplicates": DUPLICATES,
    "scores": SCORES,
    "selection": SELECTION,
    "index": INDEX,
}
