"""What all sides are given: the same pictures in two forms, the same initial weights, the same numbers."""

import io
import json
import tarfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sdmodel.data.index import with_version

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 60), "blue": (30, 80, 230), "white": (240, 240, 240)}
HEIGHT, WIDTH = 160, 128
"""Of the pictures: two to two and a half times what they are trained at, as is usual."""
TAR = 128
"""Pictures to a tar."""


@dataclass(frozen=True)
class Task:
    """One comparison."""

    folder: str
    """Holds model/ (layout of Stable Diffusion), pictures/, shards/ and index.parquet."""
    pictures: int = 512
    size: int = 64
    batch: int = 16
    epochs: int = 18
    """Of a whole training: what the cache's making is spread over. The project's demo sees its pictures as
    often."""
    warm: int = 5
    """Steps before those that count."""
    turn: int = 3
    """Steps to a turn."""
    turns: int = 6
    """Turns of each side that count."""
    rate: float = 1e-4
    decay: float = 1e-2
    """Weight decay of AdamW: the scripts' own default."""
    half_life: int = 2000
    """Of our average, images."""
    processes: int = 1
    """Of ours; 0 is its own default."""

    @property
    def place(self) -> Path:
        """The folder."""
        return Path(self.folder)

    @property
    def steps(self) -> int:
        """That count."""
        return self.turn * self.turns

    @property
    def tars(self) -> dict[str, str]:
        """Name in the index -> path."""
        return {f"shards/{path.name}": str(path) for path in sorted((self.place / "shards").glob("*.tar"))}

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Task":
        """The task in a file."""
        return cls.from_json(path.read_text())

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """What `to_json` gave."""
        return cls(**json.loads(text))


def picture(row: int) -> tuple[bytes, str]:
    """JPEG and caption: a bright disc on soft clouds."""
    rng = np.random.default_rng([5, row])
    name = str(rng.choice(list(COLOURS)))
    coarse = rng.integers(60, 160, (10, 8, 3), dtype=np.uint8)
    clouds = np.array(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    clouds = np.clip(clouds + rng.normal(0, 6, clouds.shape), 0, 255).astype(np.uint8)
    y, x = rng.integers(40, (HEIGHT - 40, WIDTH - 40))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    clouds[(rows - y) ** 2 + (columns - x) ** 2 < 30**2] = COLOURS[name]
    data = io.BytesIO()
    Image.fromarray(clouds).save(data, "JPEG", quality=92)
    return (
        data.getvalue(),
        f"a {name} disc among clouds, {'high' if y < HEIGHT / 2 else 'low'} in the picture",
    )


def write_pictures(folder: Path, pictures: int) -> None:
    """Our shards and index, and the same bytes as pictures/NUMBER.jpg with pictures/metadata.jsonl, as the
    imagefolder of the datasets library has them."""
    (folder / "shards").mkdir(parents=True)
    (folder / "pictures").mkdir()
    index, lines = [], []
    for first in range(0, pictures, TAR):
        name = f"shards/train-{first // TAR:05d}.tar"
        with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in range(first, min(first + TAR, pictures)):
                data, caption = picture(row)
                member = tarfile.TarInfo(f"{row:032x}.jpg")
                member.size = len(data)
                place = {"offset": tar.offset + 512, "length": len(data), "height": HEIGHT, "width": WIDTH}
                tar.addfile(member, io.BytesIO(data))
                index.append(
                    {
                        "uid": f"{row:032x}",
                        "file": name,
                        "split": "train",
                        "captions": [{"text": caption}],
                        "checksum": zlib.crc32(data),
                        **place,
                    }
                )
                (folder / "pictures" / f"{row:05d}.jpg").write_bytes(data)
                lines.append(json.dumps({"file_name": f"{row:05d}.jpg", "text": caption}))
    pq.write_table(with_version(pa.Table.from_pylist(index)), folder / "index.parquet")
    (folder / "pictures" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
