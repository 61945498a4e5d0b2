"""A store with every kind of file that holds pictures, for tests of what takes them out."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.artifacts.artifact import Artifact, Funnel
from stages.config.collect import CollectConfig
from stages.config.run import DedupConfig, FilterConfig, ShardConfig
from stages.dedup import dedup
from stages.dedup.phash import thumbnail
from stages.filter import filter_
from stages.image import decode_image
from stages.output import Output, PartResult
from stages.record import IMAGES, SCORES
from stages.shard import shard
from stages.stage import Stats, stage
from stages.store import Store
from tests.stages.handmade import Picture, collection, save
from tests.stages.test_crash import Crash

NOISE = np.random.default_rng(3)
PICTURES = [
    Picture(f"https://h{n}.org/p.png", save(NOISE.integers(0, 256, (20, 20, 3), np.uint8)), (f"said of {n}",))
    for n in range(6)
]
EMBEDDINGS = {picture.uid: NOISE.normal(size=8).astype(np.float16) for picture in PICTURES}
DRAWING = save(NOISE.integers(0, 256, (12, 30, 3), np.uint8))
SHARDS = ShardConfig(shard_rows=3, validation=0.2, test=0.2, workers=1)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    seed: int = 0


@stage(version=1, kind="images", name="collect")
def refreshed(previous: Artifact, config: Nothing, out: Output) -> Stats:
    """A later edition: the pictures of the first one's tar, by reference."""
    table = previous.table("images")
    tar = table.set_index("uid").loc[PICTURES[0].uid, "file"]
    table = table[table["file"] == tar]
    pq.write_table(pa.Table.from_pandas(table, IMAGES, preserve_index=False), out.write("images.parquet"))
    out.add({tar: previous.entry(tar)})
    return Stats(Funnel(len(table), len(table)))


@stage(version=1, kind="scores", name="score")
def embedded(images: Artifact, config: Nothing, out: Output) -> Stats:
    uids = images.table("images")["uid"].tolist()
    np.save(out.write("embeddings/0.npy"), np.stack([EMBEDDINGS[uid] for uid in uids]))
    rows = [
        {"uid": uid, "similarity": 0.5, "caption": 0, "file": "embeddings/0.npy", "index": index}
        for index, uid in enumerate(uids)
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCORES), out.write("scores.parquet"))
    return Stats(Funnel(len(uids), len(uids)), {"clip": True})


@stage(version=1, kind="evaluation", name="evaluate")
def evaluated(dataset: Artifact, config: Nothing, out: Output) -> Stats:
    near = {"uids": [PICTURES[0].uid, PICTURES[1].uid]}
    out.write("report.json").write_text(json.dumps({"nearest": near}))
    out.write("nearest.png").write_bytes(DRAWING)
    return Stats(Funnel(0, 0))


@stage(version=1, kind="images", name="collect")
def unfinished(config: CollectConfig, out: Output) -> Stats:
    """Dies when two parts are recorded, and one file is on its way."""

    def make(*pictures: Picture) -> Callable[[Path], PartResult]:
        def write(folder: Path) -> PartResult:
            with tarfile.open(folder / "some.tar", "w") as tar:
                for picture in pictures:
                    member = tarfile.TarInfo(f"{picture.uid}.png")
                    member.size = len(picture.data)
                    tar.addfile(member, io.BytesIO(picture.data))
            return PartResult()

        return write

    out.part("with", ["with"], make(PICTURES[0], PICTURES[3]))
    out.part("without", ["without"], make(PICTURES[4]))
    out.store.put("files/collect/lost/unnamed.bin", _file(out.folder / "x", PICTURES[0].data))
    raise Crash


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def fill(store: Store) -> dict[str, Artifact]:
    """Everything that may hold a picture."""
    images = collection(store, [PICTURES[:3], PICTURES[3:]])
    later = refreshed(images, Nothing(), store=store)
    duplicates, scores = (
        dedup(images, DedupConfig(workers=1), store=store),
        embedded(images, Nothing(), store=store),
    )
    selection = filter_(images, duplicates, scores, None, FilterConfig(), store=store)
    dataset = shard(images, selection, SHARDS, store=store)
    evaluation = evaluated(dataset, Nothing(), store=store)
    with pytest.raises(Crash):
        unfinished(CollectConfig(), store=store)
    (store.scratch() / "1234-dead-attempt").mkdir()
    _file(store.scratch() / "1234-dead-attempt" / "left", PICTURES[0].data)
    named = {"images": images, "later": later, "duplicates": duplicates, "scores": scores}
    return named | {"dataset": dataset, "evaluation": evaluation}


def traces(number: int) -> dict[str, bytes]:
    """Bytes by which a picture would be found, wherever it lies."""
    picture = PICTURES[number]
    small = thumbnail(decode_image(picture.data)).tobytes()
    return {"file": picture.data[60:100], "small": small[:60], "embedding": EMBEDDINGS[picture.uid].tobytes()}


def all_bytes(store: Store, cache: Path) -> bytes:
    """Every byte of the store, of its working folder, and of this machine's copies."""
    keys = [listed.key for folder in ("files", "parts", "manifests") for listed in store.list(folder)]
    local = [path for root in (store.scratch(), cache) for path in root.rglob("*") if path.is_file()]
    return b"".join([*(store.read(key) for key in keys), *(path.read_bytes() for path in local)])


def found(store: Store, cache: Path, number: int) -> set[str]:
    held = all_bytes(store, cache)
    return {name for name, trace in traces(number).items() if trace in held}
