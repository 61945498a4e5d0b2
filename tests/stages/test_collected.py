"""Collected bytes are checked against the table that names them, whichever stage reads them."""

import io
import random
from pathlib import Path

import pytest

from stages.artifacts.artifact import Artifact
from stages.collected import read_collected
from stages.config.run import DedupConfig
from stages.dedup import dedup
from stages.demo.world import render, scene
from stages.errors import DamagedError
from stages.shard import shard
from stages.store import Store, open_store
from tests.stages.handmade import Picture, collection, save
from tests.stages.shard.test_shard import ONE, select


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def pictures() -> list[Picture]:
    return [Picture(f"{n}", save(render(scene(1, n), 40), "jpeg"), (f"picture {n}",)) for n in range(6)]


def damaged(images: Artifact, chance: random.Random) -> str:
    """Flip one bit of one picture; its uid."""
    row = images.table("images").to_dict("records")[chance.randrange(6)]
    path = images.path(row["file"])
    path.chmod(0o644)
    with path.open("r+b") as file:
        at = row["offset"] + chance.randrange(row["length"])
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))
    return str(row["uid"])


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_ends_dedup_and_shard(store: Store, pictures: list[Picture], seed: int) -> None:
    images = collection(store, [pictures])
    selection = select(store, images, pictures)
    uid = damaged(images, random.Random(seed))
    words = f"picture {uid} at offset .* should hash to .* the tar is damaged; `sdflow verify` names"
    with pytest.raises(DamagedError, match=words):
        dedup(images, DedupConfig(workers=1), store=store)
    with pytest.raises(DamagedError, match=words):
        shard(images, selection, ONE, store=store)


def test_what_was_purged_is_told_from_damage() -> None:
    tar = io.BytesIO(bytes(100))
    with pytest.raises(DamagedError, match="picture u at offset 10 was purged after a take-down"):
        read_collected(tar, "u", 10, 20, "ab" * 32)
    with pytest.raises(DamagedError, match=r"its 5 bytes hash to .* the tar is damaged"):
        read_collected(tar, "u", 95, 20, "ab" * 32)
