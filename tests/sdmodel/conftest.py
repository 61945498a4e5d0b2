import io
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sdmodel.data.index import with_version
from tests import frozen

torch.set_num_threads(1)  # threads that wait for each other on shared cores cost more than they bring

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 60), "blue": (30, 80, 230), "white": (240, 240, 240)}
PLACES = {"left": slice(0, 20), "right": slice(20, 40)}


@dataclass(frozen=True)
class Written:
    """A dataset in the tar format, as a person would write one by hand."""

    index: Path
    tars: dict[str, Path]


def picture(row: int, seed: int = 0) -> tuple[Image.Image, str]:
    """A bright half on noise, 40 by 50 pixels, and what it shows."""
    rng = np.random.default_rng([seed, row])
    colour, place = rng.choice(list(COLOURS)), rng.choice(list(PLACES))
    pixels = rng.integers(90, 120, (50, 40, 3), dtype=np.uint8)
    pixels[:, PLACES[str(place)]] = COLOURS[str(colour)]
    return Image.fromarray(pixels), f"a {colour} half on the {place}"


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Written]:
    """write_dataset(folder, rows): tars of 30 pictures each; every tenth row is of the validation split,
    every fifth has no label in the column `colour`, every fourth no `similarity`; they came in three
    sizes."""

    def write(folder: Path, rows: int = 70) -> Written:
        index, tars = [], {}
        for first in range(0, rows, 30):
            name = f"shards/train-{first // 30:05d}.tar"
            tars[name] = folder / Path(name).name
            with tarfile.open(tars[name], "w", format=tarfile.USTAR_FORMAT) as tar:
                for row in range(first, min(first + 30, rows)):
                    image, caption = picture(row)
                    data = io.BytesIO()
                    image.save(data, "PNG" if row % 2 else "JPEG")
                    member = tarfile.TarInfo(f"{row:032x}.{'png' if row % 2 else 'jpg'}")
                    member.size = len(data.getvalue())
                    offset = tar.offset + 512
                    tar.addfile(member, io.BytesIO(data.getvalue()))
                    index.append(
                        {
                            "uid": f"{row:032x}",
                            "file": name,
                            "offset": offset,
                            "length": member.size,
                            "split": "validation" if row % 10 == 9 else "train",
                            "checksum": zlib.crc32(data.getvalue()),
                            "captions": [{"text": caption}, {"text": caption.upper()}],
                            "colour": caption.split()[1] if row % 5 else None,
                            "similarity": 0.2 + 0.001 * row if row % 4 else None,
                            "original_height": 50 * (1 + row % 3),
                            "original_width": 40 * (1 + row % 3),
                        }
                    )
        pq.write_table(with_version(pa.Table.from_pylist(index)), folder / "index.parquet")
        return Written(folder / "index.parquet", tars)

    return write


@pytest.fixture(scope="session")
def dataset(write_dataset: Callable[..., Written], tmp_path_factory: pytest.TempPathFactory) -> Written:
    """70 rows, 63 of them for training. Shared: don't change it."""
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="session")
def image_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny image encoder, as a training writes it, that has learned nothing. Don't change it."""
    return frozen.image_encoder(tmp_path_factory.mktemp("image-encoder"))
