"""Score and encode die at calls of the store, before or after their effect, and go on."""

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stages.activity import held
from stages.artifact import Artifact, artifacts
from stages.config import EncodeConfig, ScoreConfig
from stages.gc import collect_garbage
from stages.score import score
from stages.store import FolderStore, Store, open_store
from tests.stages import worlds
from tests.stages.test_crash import Crash, Watched, crashing
from tests.stages.test_encode import home, made

__all__ = ["home"]

pytestmark = pytest.mark.matrix


Run = Callable[[Store, Artifact, Artifact, Path], Artifact]
RUNS: dict[str, Run] = {
    "score": lambda store, images, _, home: score(images, None, ScoreConfig(part_rows=20), store=store),
    "encode": lambda store, _, dataset, home: made(
        dataset, EncodeConfig(autoencoder=str(home / "pipeline"), size=16, device="cpu"), store
    ),
}
POINTS = 8
"""Crash points of each stage, evenly over its calls of the store."""


@pytest.fixture(scope="module")
def base(home: Path) -> Path:
    """A store with a dataset."""
    worlds.dataset(open_store(str(home / "store")), home / "pictures", rows=40)
    return home / "store"


def copied(base: Path, folder: Path) -> tuple[FolderStore, Artifact, Artifact]:
    shutil.copytree(base, folder, copy_function=os.link)
    store = FolderStore(folder)
    by_stage = {artifact.stage: artifact for artifact in artifacts(store)}
    return store, by_stage["collect"], by_stage["shard"]


@pytest.mark.parametrize("name", RUNS)
def test_a_stage_that_died_at_any_call_of_the_store_goes_on(
    base: Path, home: Path, tmp_path: Path, name: str
) -> None:
    run = RUNS[name]
    calls: list[str] = []
    store, images, dataset = copied(base, tmp_path / "undisturbed")

    def counted(key: str, operation: Callable[[], Any]) -> Any:
        calls.append(key)
        return operation()

    whole = run(Watched(store, counted), images, dataset, home)
    assert not whole.cached
    for number in range(POINTS):
        at = 1 + (len(calls) - 1) * number // POINTS
        store, images, dataset = copied(base, tmp_path / f"{number}")
        with pytest.raises(Crash):
            run(crashing(store, at, after=bool(number % 2)), images, dataset, home)
        again = run(store, images, dataset, home)
        assert again.digest == whole.digest, (at, calls[at - 1])
        assert again.verify() == []
        assert held(store) == []
        collect_garbage(store, grace=timedelta(0))
        assert again.verify() == []
