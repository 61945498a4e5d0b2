"""A dataset of nothing: random pictures with random captions, as large as a training's own would be.

For measuring how fast a training would be where there is no data yet: it is read, decoded and learned from
like any other.
"""

import io
import itertools
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sdmodel.data.index import with_version

TAR = "shards/train-00000.tar"
"""The one tar's name in the index."""
SYLLABLES = [a + b for a, b in itertools.product("bdfgklmnprstvz", "aeiou")]
WORDS = 12
"""Words of a caption."""
CLASSES = 10
"""Values of a column of labels."""
CAPTIONS = 20
"""Captions of a picture: enough to learn a tokenizer of some thousand entries from."""


def write(
    folder: Path, rows: int, size: int, columns: Sequence[str] = (), seed: int = 0
) -> tuple[Path, dict[str, Path]]:
    """Writes a dataset of `rows` JPEG pictures of `size` pixels a side into an existing folder; `columns` of
    its index hold classes.

    Returns:
        Path of the index, and the tars by their names in it."""
    rng = np.random.default_rng(seed)
    index: list[dict[str, object]] = []
    path = folder / Path(TAR).name
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row in range(rows):
            data = _picture(rng, size)
            member = tarfile.TarInfo(f"{row:032x}.jpg")
            member.size = len(data)
            index.append({
                "uid": f"{row:032x}", "file": TAR, "offset": tar.offset + tarfile.BLOCKSIZE,
                "length": len(data), "checksum": zlib.crc32(data), "split": "train",
                "captions": [{"text": _caption(rng)} for _ in range(CAPTIONS)],
                "width": size, "height": size, "multiplicity": 1,
                **dict.fromkeys(columns, f"class {row % CLASSES}"),
            })  # fmt: skip
            tar.addfile(member, io.BytesIO(data))
    pq.write_table(with_version(pa.Table.from_pylist(index)), folder / "index.parquet")
    return folder / "index.parquet", {TAR: path}


def captions(count: int, seed: int = 0) -> list[str]:
    """Random captions of `WORDS` words."""
    rng = np.random.default_rng(seed)
    return [_caption(rng) for _ in range(count)]


def _picture(rng: np.random.Generator, size: int) -> bytes:
    """A JPEG as smooth, and so as large, as a photograph."""
    side = max(1, size // 4)
    coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    data = io.BytesIO()
    coarse.resize((size, size), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
    return data.getvalue()


def _caption(rng: np.random.Generator) -> str:
    words = rng.integers(0, len(SYLLABLES), (WORDS, 3))
    return " ".join("".join(SYLLABLES[part] for part in word) for word in words)
