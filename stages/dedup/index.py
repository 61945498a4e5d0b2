"""What dedup remembers of each picture, so that a refresh decodes only what is new.

A part reads (a stretch of) one tar and writes three files, which stay files of the artifact, in one order:
`index/NAME.parquet` (schema `INDEX`), `index/NAME.npy`, the small pictures, (N, 32, 32, 3) uint8, and
`index/NAME.crops.npy`, the pixels of the foregrounds' crops one behind the other, (B,) uint8.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel
from stages.collected import read_collected
from stages.dedup.foreground import Foreground, foreground
from stages.dedup.phash import SIDE, contrasts, perceptual_hashes, thumbnail
from stages.fingerprint import fingerprint_of
from stages.image import decode_image, is_plain
from stages.output import Output, Part, PartResult, PartSpec

INDEX = pa.schema(
    [
        ("uid", pa.string()),
        ("pixels", pa.string()),  # sha256 of width, height and decoded pixels, 64 hex digits
        ("phash", pa.uint64()),
        ("contrast", pa.float32()),  # standard deviation of luma, [0, 0.5]
        ("width", pa.int32()),  # pixels, as displayed
        ("height", pa.int32()),
        ("length", pa.int64()),  # bytes of the file
        ("canvas", pa.int32()),  # 0xrrggbb, -1 where there is none
        ("left", pa.int32()),  # of the foreground's crop, pixels of the picture
        ("top", pa.int32()),
        ("right", pa.int32()),
        ("bottom", pa.int32()),
        ("crop_width", pa.int16()),  # pixels of the crop; 0 where none is kept
        ("crop_height", pa.int16()),
    ]
)


def part_specs(images: Artifact, part_rows: int, keep: Mapping[str, str], out: Output) -> list[PartSpec]:
    """A part for every `part_rows` rows of each tar of a collection; `keep` is what it heeds of the config.

    Its inputs are the tar's hash and the rows that it reads, nothing of the rest: other tars may come and go.
    """
    columns = ["uid", "file", "offset", "length", "sha256"]
    table = images.table("images", columns)
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
            known = out.find(name, inputs, config=keep) is not None
            payload = None
            if not known:
                payload = {"name": name, "tar": str(images.path(str(file))), "members": members, **keep}
            specs.append(PartSpec(name, inputs, payload))
    return specs


def make_part(folder: Path, payload: dict[str, Any]) -> PartResult:
    """Decode the members of a tar and write down what dedup needs of them. Damaged members raise
    ImageError: collect let none pass."""
    records: list[dict[str, Any]] = []
    crops: list[npt.NDArray[np.uint8]] = []
    thumbnails = np.empty((len(payload["members"]), SIDE, SIDE, 3), dtype=np.uint8)
    with Path(payload["tar"]).open("rb") as tar:
        for number, (uid, offset, length, sha256) in enumerate(payload["members"]):
            data = read_collected(tar, uid, offset, length, sha256)
            pixels = decode_image(data, payload["background"])
            thumbnails[number] = thumbnail(pixels)
            height, width, _ = pixels.shape
            shown = foreground(pixels)
            crops.append(shown.crop.reshape(-1))
            records.append(
                {
                    "uid": uid,
                    "pixels": pixels_hash(data, pixels),
                    "width": width,
                    "height": height,
                    "length": length,
                    "canvas": -1 if shown.canvas is None else int.from_bytes(bytes(shown.canvas), "big"),
                    **dict(zip(("left", "top", "right", "bottom"), shown.box, strict=True)),
                    "crop_width": shown.crop.shape[1],
                    "crop_height": shown.crop.shape[0],
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
    np.save(folder / f"index/{payload['name']}.crops.npy", np.concatenate(crops))
    return PartResult(Funnel(len(table), len(table)))


def pixels_hash(data: bytes, pixels: npt.NDArray[np.uint8]) -> str:
    """SHA-256 over size and pixels, 64 hex digits: equal for pictures that look the same on any background.

    `data` is the file, `pixels` (H, W, 3) uint8 what `decode_image` makes of it, on any background. Where the
    file may be transparent it is decoded on white and on black, or a white circle and a white square on
    nothing would be one picture.
    """
    digest = hashlib.sha256(np.array(pixels.shape, dtype="<i8").tobytes())
    grounds = [pixels]
    if not is_plain(data):
        on_white, on_black = (decode_image(data, background=ground) for ground in ("#ffffff", "#000000"))
        grounds = [on_white] if np.array_equal(on_white, on_black) else [on_white, on_black]
    for ground in grounds:
        digest.update(ground.tobytes())
    return digest.hexdigest()


class PictureIndex:
    """The parts' tables as one, pictures left on disk.

    Their files are opened for a batch of rows and closed again: there may be more of them than a process may
    have open.

    Attributes:
        rows: the rows of all parts (columns of `INDEX`), sorted by uid.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Join finished parts."""
        names = [(part, name) for part in parts for name in part.names() if name.endswith(".parquet")]
        tables = [part.table(name.removesuffix(".parquet")) for part, name in names]
        stems = [(part, name.removesuffix(".parquet")) for part, name in names]
        self._thumbnails = [part.path(f"{stem}.npy") for part, stem in stems]
        self._crops = [part.path(f"{stem}.crops.npy") for part, stem in stems]
        self._starts = np.cumsum([0, *(len(table) for table in tables)])
        rows = pd.concat(tables, ignore_index=True) if tables else INDEX.empty_table().to_pandas()
        lengths = rows["crop_width"].to_numpy(np.int64) * rows["crop_height"].to_numpy(np.int64) * 3
        ends = np.cumsum(lengths)
        first = np.concatenate([[0], ends])[self._starts[:-1]]  # where each part's crops begin in all
        begins = ends - lengths - np.repeat(first, np.diff(self._starts))
        rows = rows.sort_values("uid", kind="stable")
        self._positions = rows.index.to_numpy(dtype=np.int64)
        self._begins, self._lengths = begins[self._positions], lengths[self._positions]
        self.rows = rows.reset_index(drop=True)
        self._columns = {name: self.rows[name].to_numpy() for name in _FOREGROUND}

    def thumbnails(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The small pictures of some rows, (R, 32, 32, 3) uint8."""
        result = np.empty((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
        for file, here in self._by_file(rows):
            positions = self._positions[rows[here]] - self._starts[file]
            # the map, and the file with it, is closed with its last reference
            result[here] = np.load(self._thumbnails[file], mmap_mode="r", allow_pickle=False)[positions]
        return result

    def has_crop(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether a crop of its foreground is kept for each of some rows, (R,)."""
        return self._lengths[rows] > 0

    def foregrounds(self, rows: npt.NDArray[np.int64]) -> list[Foreground]:
        """The foregrounds of some rows, in their order."""
        result: dict[int, Foreground] = {}
        for file, here in self._by_file(rows):
            pixels = np.load(self._crops[file], mmap_mode="r", allow_pickle=False)
            for place in here.tolist():
                row = int(rows[place])
                begin = int(self._begins[row])
                crop = np.array(pixels[begin : begin + int(self._lengths[row])])
                result[place] = self._foreground(row, crop)
        return [result[place] for place in range(len(rows))]

    def _by_file(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """(number of a part's files, places in `rows` of what lies in them), each once."""
        files = np.searchsorted(self._starts, self._positions[rows], side="right") - 1
        for file in np.unique(files).tolist():
            yield file, np.flatnonzero(files == file)

    def _foreground(self, row: int, crop: npt.NDArray[np.uint8]) -> Foreground:
        number = {name: int(self._columns[name][row]) for name in _FOREGROUND}
        red, green, blue = (number["canvas"] & 0xFFFFFF).to_bytes(3, "big")
        return Foreground(
            size=(number["width"], number["height"]),
            canvas=None if number["canvas"] < 0 else (red, green, blue),
            box=(number["left"], number["top"], number["right"], number["bottom"]),
            crop=crop.reshape(number["crop_height"], number["crop_width"], 3),
        )


_FOREGROUND = ("width", "height", "canvas", "left", "top", "right", "bottom", "crop_width", "crop_height")
