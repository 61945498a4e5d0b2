"""Drawings that show a picture among others go as a whole; those that only might have are left."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.filter import filter_
from stages.kinds.evaluation import RECONSTRUCTED
from stages.output import Output
from stages.score import score
from stages.shard import shard
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.takedown.purge import purge
from stages.takedown.records import Name, forget
from tests.stages.handmade import Picture, collection, save
from tests.stages.holding import Nothing

NOISE = np.random.default_rng(8)
PICTURES = [
    Picture(f"https://a.org/{n}.png", save(NOISE.integers(0, 256, (16, 16, 3), np.uint8)), ("a word",))
    for n in range(RECONSTRUCTED + 4)
]


@stage(version=1, kind="evaluation", name="evaluate")
def reconstructed(dataset: Artifact, config: Nothing, out: Output) -> Stats:
    """As evaluate leaves an autoencoder's: a grid of the first pictures of a split."""
    out.write("report.json").write_text(json.dumps({"reconstruction": {"split": "train", "psnr": 20.0}}))
    out.write("grid.png").write_bytes(save(NOISE.integers(0, 256, (9, 40, 3), np.uint8)))
    return Stats(Funnel(0, 0))


@pytest.mark.parametrize("place", [0, RECONSTRUCTED - 1, RECONSTRUCTED])
def test_the_grid_of_an_autoencoder(tmp_path: Path, place: int):
    store: Store = open_store(str(tmp_path / "store"))
    images = collection(store, [PICTURES])
    duplicates = dedup(images, DedupConfig(workers=1), store=store)
    scores = score(images, None, ScoreConfig(), store=store)
    selection = filter_(images, duplicates, scores, None, FilterConfig(), store=store)
    dataset = shard(images, selection, ShardConfig(validation=0, test=0, workers=1), store=store)
    before = reconstructed(dataset, Nothing(), store=store)
    uid = str(dataset.table("index")["uid"].iloc[place])

    purge(store, forget(store, [Name("uid", uid)], "asked"))
    after = Artifact.open(store, "evaluate", before.fingerprint)
    assert after.verify() == []
    with Image.open(io.BytesIO(after.read("grid.png"))) as grid:
        assert grid.size == (40, 9)
        assert (np.ptp(np.asarray(grid)) == 0) == (place < RECONSTRUCTED)
