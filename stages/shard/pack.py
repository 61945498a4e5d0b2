"""Packs one tar: the same rows give the same bytes."""

import io
import json
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.artifacts.artifact import Funnel
from stages.collected import read_collected
from stages.image import decode_image, encode_image, is_plain
from stages.image.verdict import blank_on
from stages.output import PartResult
from stages.reasons import Reason
from stages.shard.moments import channel_moments

EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
"""Formats that are kept as they came, and the extensions that loaders know them by."""


def pack(folder: Path, payload: dict[str, Any]) -> PartResult:
    """Make the part of one tar.

    Args:
        folder: gets `shards/NAME.tar`, `packed/NAME.json` (where each image lies) and `moments/NAME.json`
            (sums over images of each channel's mean and mean square, pixels in [-1, 1]), and
            `blank/NAME.json`, the uids of pictures that are left out since they are blank on the background.
        payload: name, rows with the local file of their bytes, max_side, background.
    """
    name, rows = payload["name"], payload["rows"]
    path = folder / "shards" / f"{name}.tar"
    for below in ("shards", "packed", "moments", "blank"):
        (folder / below).mkdir()
    sizes: dict[str, tuple[int, int]] = {}
    checksums: dict[str, int] = {}
    blank: list[str] = []
    mean, square, unchanged = np.zeros(3), np.zeros(3), 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            with Path(row["file"]).open("rb") as file:
                data = read_collected(file, row["uid"], row["offset"], row["length"], row["sha256"])
            pixels = decode_image(data, payload["background"])
            if blank_on(pixels, data, payload["background"]):
                blank.append(row["uid"])
                continue
            pixels = _fit(pixels, payload["max_side"])
            height, width = pixels.shape[:2]
            sizes[row["uid"]] = (width, height)
            extension = EXTENSIONS.get(row["format"])
            if extension and is_plain(data) and _unscaled(data, pixels):
                unchanged += 1
            else:
                extension, data = "png", encode_image(pixels, "png")
            _add(tar, f"{row['uid']}.{extension}", data)
            _add(
                tar, f"{row['uid']}.json", json.dumps(_described(row, width, height), sort_keys=True).encode()
            )
            _add(tar, f"{row['uid']}.txt", row["captions"][0]["text"].encode() if row["captions"] else b"")
            checksums[row["uid"]] = zlib.crc32(data)
            own_mean, own_square = channel_moments(pixels)
            mean += own_mean
            square += own_square
    packed = [
        {"uid": uid, "file": f"shards/{name}.tar", "offset": offset, "length": length,
         "checksum": checksums[uid], "width": sizes[uid][0], "height": sizes[uid][1]}
        for uid, offset, length in _images_in(path)
    ]  # fmt: skip
    (folder / "packed" / f"{name}.json").write_text(json.dumps(packed))
    (folder / "blank" / f"{name}.json").write_text(json.dumps(blank))
    sums = {"images": len(packed), "kept": unchanged, "bytes": path.stat().st_size}
    moments = {"mean": mean.tolist(), "square": square.tolist()}
    (folder / "moments" / f"{name}.json").write_text(json.dumps(sums | moments))
    left_out = {str(Reason.BLANK_ON_BACKGROUND): len(blank)} if blank else {}
    return PartResult(Funnel(len(rows), len(packed), left_out))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # owner, mode and time are the same for all: times would change the bytes
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))


def _images_in(path: Path) -> list[tuple[str, int, int]]:
    """uid, offset of the data and its length of each image, as tarfile itself reads them."""
    with tarfile.open(path) as tar:
        return [
            (Path(member.name).stem, member.offset_data, member.size)
            for member in tar
            if not member.name.endswith((".txt", ".json"))
        ]


def _fit(pixels: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """Scaled down so that the longer side is at most `max_side`."""
    height, width = pixels.shape[:2]
    if max_side is None or max(width, height) <= max_side:
        return pixels
    factor = max_side / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), np.uint8)


def _unscaled(data: bytes, pixels: NDArray[np.uint8]) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.size == (pixels.shape[1], pixels.shape[0])


def _described(row: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    """What the .json member says of an image."""
    names = ("uid", "sha256", "source", "location", "captions", "multiplicity", "similarity")
    names += ("original_width", "original_height")
    return {**{name: row[name] for name in names}, "width": width, "height": height}
