"""After many refreshes with retention a store is no larger than after a few."""

import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows import steps
from stages.artifacts.artifact import Artifact
from stages.artifacts.gc import collect_garbage
from stages.artifacts.reference import resolve
from stages.config.collect import CollectConfig, FolderSource
from stages.config.retention import RetainConfig
from stages.config.run import DatasetRun, DedupConfig, ShardConfig
from stages.retention.retain import retain
from stages.store import Store, open_store
from stages.verify import verify_store
from tests.stages.retention.birds import dataset_of, images_of, model_of

NOW = timedelta(0)
PICTURES = 20
CHANGED = 7
"""Pictures of a folder that are others at the next refresh."""


def sweep(store: Store) -> tuple[int, int]:
    """Drop all but three versions; objects and bytes that are left."""
    retain(store, ["datasets/birds"], RetainConfig(last=3), grace=NOW, watch=0)
    collect_garbage(store, grace=NOW, watch=0)
    listed = list(store.list(""))
    return len(listed), sum(each.size for each in listed)


def test_sixty_small_refreshes_and_a_model_of_the_first():
    store = open_store(f"memory://{uuid.uuid4().hex}")
    images: Artifact | None = None
    sizes: list[tuple[int, int]] = []
    for seed in range(1000, 1060):
        images = images_of(store, seed, images)
        dataset = dataset_of(store, images)
        if seed == 1000:
            model_of(store, dataset)
        sizes.append(sweep(store))
    assert len({objects for objects, _ in sizes[6:]}) == 1
    # Numbers of versions, and of what was found and made, have as many digits as they have.
    assert max(size for _, size in sizes[6:]) - min(size for _, size in sizes[6:]) < 200
    assert verify_store(store).damaged == 0
    lineage = {artifact.stage: artifact for artifact in resolve(store, "models/birds").ancestors()}
    assert set(lineage) == {"shard", "filter", "dedup", "collect"}
    assert all(artifact.dropped is not None for artifact in lineage.values())


class Folder:
    """A folder of pictures of which some change with every refresh."""

    def __init__(self, path: Path) -> None:
        self.path, self.number, self.random = path, 0, np.random.default_rng(0)
        path.mkdir()
        self.add(PICTURES)

    def add(self, count: int) -> None:
        for _ in range(count):
            pixels = self.random.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(self.path / f"{self.number:05d}.png")
            (self.path / f"{self.number:05d}.txt").write_text("a bird")
            self.number += 1

    def change(self) -> None:
        self.add(CHANGED)
        for number in range(self.number - PICTURES - CHANGED, self.number - PICTURES):
            for suffix in ("png", "txt"):
                (self.path / f"{number:05d}.{suffix}").unlink()


def refresh(store: Store, run: DatasetRun, edition: str) -> Artifact:
    collect = replace(run.collect, edition=edition)
    images = steps.COLLECT.run(store, run.name, collect, [])
    duplicates = steps.DEDUP.run(store, run.name, run.dedup, [images])
    scores = steps.SCORE.run(store, run.name, run.score, [images])
    selection = steps.FILTER.run(store, run.name, run.filter, [images, duplicates, scores])
    return steps.SHARD.run(store, run.name, run.shard, [images, selection])


@pytest.mark.matrix
def test_sixty_refreshes_of_a_folder(tmp_path: Path):
    folder, store = Folder(tmp_path / "pictures"), open_store(str(tmp_path / "store"))
    run = DatasetRun(
        name="birds",
        collect=CollectConfig(folders=(FolderSource(name="f", folder=str(folder.path)),), workers=1),
        dedup=DedupConfig(workers=1),
        shard=ShardConfig(workers=1, validation=0.1, test=0.1),
    )
    sizes: list[tuple[int, int]] = []
    for number in range(60):
        dataset = refresh(store, run, f"{number:05d}")
        if number == 0:
            model_of(store, dataset)
        sizes.append(sweep(store))
        folder.change()
    steady = sizes[6:]
    assert len({objects for objects, _ in steady}) <= 2, sizes
    # Pictures of noise are of one size, but which of them are tested on, and how tables compress, is chance.
    assert max(size for _, size in steady) < 1.06 * min(size for _, size in steady), sizes
    verification = verify_store(store)
    assert verification.damaged == verification.unnamed == 0, verification.complaints
    lineage = {artifact.stage: artifact for artifact in resolve(store, "models/birds").ancestors()}
    assert set(lineage) == {"shard", "filter", "score", "dedup", "collect"}
    assert lineage["shard"].dropped is not None
    assert lineage["shard"].funnel.rows_out == PICTURES
