"""Collections made by hand, as collect would make them, for tests of the stages that read one."""

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.collect import CollectConfig
from stages.fingerprint import fingerprint_of
from stages.image import decode_image, read_header
from stages.output import Output
from stages.record import IMAGES, uid_of
from stages.stage import Stats, stage
from stages.store import Store


@dataclass(frozen=True)
class Picture:
    """A row of a collection; the name becomes the location."""

    name: str
    data: bytes
    captions: Sequence[str] = ("a picture",)
    columns: str = "{}"
    """Passed on by the source, a JSON object."""

    @property
    def uid(self) -> str:
        return uid_of("test", self.name)


def save(pixels: np.ndarray, format: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def resized(pixels: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height or width), Image.Resampling.LANCZOS))


def collection(store: Store, tars: Sequence[Sequence[Picture]]) -> Artifact:
    """An artifact of kind images, a tar for each inner list."""

    @stage(version=1, kind="images", name="collect")
    def collected(source: Snapshot, config: CollectConfig, out: Output) -> Stats:
        rows: list[dict[str, object]] = []
        for pictures in tars:
            rows += _write_tar(out, sorted(pictures, key=lambda picture: picture.uid))
        rows.sort(key=lambda row: str(row["uid"]))
        pq.write_table(pa.Table.from_pylist(rows, IMAGES), out.write("images.parquet"), compression="zstd")
        return Stats(Funnel(len(rows), len(rows)))

    contents = [
        [[p.name, hashlib.sha256(p.data).hexdigest(), list(p.captions), p.columns] for p in tar]
        for tar in tars
    ]
    return collected(Snapshot(fingerprint_of(contents)), CollectConfig(), store=store)


def _write_tar(out: Output, pictures: Sequence[Picture]) -> list[dict[str, object]]:
    buffer = io.BytesIO()
    rows: list[dict[str, object]] = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for picture in pictures:
            height, width, _ = decode_image(picture.data).shape
            format = read_header(picture.data).format
            member = tarfile.TarInfo(f"{picture.uid}.{format}")
            member.size = len(picture.data)
            rows.append(
                {
                    "uid": picture.uid,
                    "sha256": hashlib.sha256(picture.data).hexdigest(),
                    "source": "test",
                    "location": picture.name,
                    "captions": [{"text": c, "source": "test", "weight": 1.0} for c in picture.captions],
                    "columns": picture.columns,
                    "format": format,
                    "width": width,
                    "height": height,
                    "offset": tar.offset + tarfile.BLOCKSIZE,
                    "length": len(picture.data),
                }
            )
            tar.addfile(member, io.BytesIO(picture.data))
    name = f"tars/{hashlib.sha256(buffer.getvalue()).hexdigest()[:16]}.tar"
    out.write(name).write_bytes(buffer.getvalue())
    return [{**row, "file": name} for row in rows]
