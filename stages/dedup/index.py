"""What dedup remembers of each picture, so that a refresh decodes only what is new.

A part reads (a stretch of) one tar and writes two files, which stay files of the artifact:
`index/NAME.parquet` (schema `INDEX`) and `index/NAME.npy`, the small pictures, (N, 32, 32, 3) uint8, in the
same order.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifact import Artifact, Funnel
from stages.collected import read_collected
from stages.dedup.phash import SIDE, contrasts, perceptual_hashes, thumbnail
from stages.fingerprint import fingerprint_of
from stages.image import decode, is_plain
from stages.output import Made, Output, Part, PartSpec

INDEX = pa.schema(
    [
        ("uid", pa.string()),
        ("pixels", pa.string()),  # sha256 of width, height and decoded pixels, 64 hex digits
        ("phash", pa.uint64()),
        ("contrast", pa.float32()),  # standard deviation of luma, [0, 0.5]
        ("width", pa.int32()),  # pixels, as displayed
        ("height", pa.int32()),
        ("length", pa.int64()),  # bytes of the file
    ]
)


def part_specs(images: Artifact, part_rows: int, out: Output) -> list[PartSpec]:
    """A part for every `part_rows` rows of each tar of a collection.

    Its inputs are the tar's hash and the rows that it reads, nothing of the rest: other tars may come and go.
    """
    columns = ["uid", "file", "offset", "length", "sha256"]
    table = pq.read_table(images.path("images.parquet"), columns=columns).to_pandas()
    table = table.sort_values(["file", "offset"], kind="stable")
    specs: list[PartSpec] = []
    for file, rows in table.groupby("file", sort=True):
        for number, start in enumerate(range(0, len(rows), part_rows)):
            chosen = rows.iloc[start : start + part_rows]
            members = list(
                zip(
                    chosen["uid"],
                    chosen["offset"].tolist(),
                    chosen["length"].tolist(),
                    chosen["sha256"],
                    strict=True,
                )
            )
            name = f"{Path(str(file)).stem}-{number:03d}"
            inputs = [images.entry(str(file)).sha256, name, fingerprint_of(members)]
            # a tar of a remote store is fetched only if it must be read
            known = out.find(name, inputs, config={}) is not None
            payload = (
                None if known else {"name": name, "tar": str(images.path(str(file))), "members": members}
            )
            specs.append(PartSpec(name, inputs, payload))
    return specs


def make_part(folder: Path, payload: dict[str, Any]) -> Made:
    """Decode the members of a tar and write down what dedup needs of them. Damaged members raise
    ImageError: collect let none pass."""
    records: list[dict[str, Any]] = []
    thumbnails = np.empty((len(payload["members"]), SIDE, SIDE, 3), dtype=np.uint8)
    with Path(payload["tar"]).open("rb") as tar:
        for number, (uid, offset, length, sha256) in enumerate(payload["members"]):
            data = read_collected(tar, uid, offset, length, sha256)
            pixels = decode(data)
            thumbnails[number] = thumbnail(pixels)
            height, width, _ = pixels.shape
            records.append(
                {
                    "uid": uid,
                    "pixels": pixels_hash(data, pixels),
                    "width": width,
                    "height": height,
                    "length": length,
                }
            )
    table = pd.DataFrame(records)
    table["phash"] = perceptual_hashes(thumbnails)
    table["contrast"] = contrasts(thumbnails)
    (folder / "index").mkdir()
    pq.write_table(
        pa.Table.from_pandas(table, INDEX, preserve_index=False),
        folder / f"index/{payload['name']}.parquet",
        compression="zstd",
    )
    np.save(folder / f"index/{payload['name']}.npy", thumbnails)
    return Made(Funnel(len(table), len(table)))


def pixels_hash(data: bytes, pixels: npt.NDArray[np.uint8]) -> str:
    """SHA-256 over size and pixels, 64 hex digits: equal for pictures that look the same on any background.

    `data` is the file, `pixels` (H, W, 3) uint8 what `decode` makes of it, on white. Where the file may be
    transparent it is decoded on black too, or a white circle and a white square on nothing would be one
    picture.
    """
    digest = hashlib.sha256(np.array(pixels.shape, dtype="<i8").tobytes())
    digest.update(pixels.tobytes())
    if not is_plain(data):
        on_black = decode(data, background="#000000")
        if not np.array_equal(on_black, pixels):
            digest.update(on_black.tobytes())
    return digest.hexdigest()


class Index:
    """The parts' tables as one, small pictures left on disk.

    Attributes:
        rows: the rows of all parts (columns of `INDEX`), sorted by uid.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Join finished parts."""
        tables = [
            part.table(name.removesuffix(".parquet"))
            for part in parts
            for name in part.names()
            if name.endswith(".parquet")
        ]
        self._files = [
            np.load(part.path(name), mmap_mode="r")
            for part in parts
            for name in part.names()
            if name.endswith(".npy")
        ]
        self._starts = np.cumsum([0, *(len(table) for table in tables)])
        rows = pd.concat(tables, ignore_index=True) if tables else INDEX.empty_table().to_pandas()
        rows = rows.sort_values("uid", kind="stable")
        self._positions = rows.index.to_numpy(dtype=np.int64)
        self.rows = rows.reset_index(drop=True)

    def thumbnails(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The small pictures of some rows, (R, 32, 32, 3) uint8."""
        positions = self._positions[rows]
        files = np.searchsorted(self._starts, positions, side="right") - 1
        result = np.empty((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
        for file in np.unique(files):
            here = files == file
            result[here] = self._files[file][positions[here] - self._starts[file]]
        return result
