"""Score, encode, train and evaluate die at calls of the store, before or after their effect, and go on."""

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdmodel.config.sampling import SamplingConfig
from sdmodel.train.process import launch
from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact, artifacts
from stages.artifacts.gc import collect_garbage
from stages.config.encode import EncodeConfig
from stages.config.evaluate import EvaluateConfig
from stages.config.run import ScoreConfig
from stages.evaluate import evaluate
from stages.score import score
from stages.store import FolderStore, Store, open_store
from stages.train.train import train
from tests.stages import worlds
from tests.stages.test_average import in_this_process
from tests.stages.test_crash import Crash, Watched, crashing, statuses_at_once
from tests.stages.test_encode import home, made

__all__ = ["home", "statuses_at_once"]

pytestmark = pytest.mark.matrix


TRAINING = worlds.changed(images=128, batch=16, size=8, checkpoint_every=32)
JUDGED = EvaluateConfig(
    samples=4, sampling=SamplingConfig(steps=2), part_rows=2, validation_rows=4, device="cpu"
)

Made = Mapping[str, Artifact]
"""By stage: what a stage may read."""
Run = Callable[[Store, Made, Path], Artifact]
RUNS: dict[str, Run] = {
    "score": lambda store, of, _: score(of["collect"], None, ScoreConfig(part_rows=20), store=store),
    "encode": lambda store, of, home: made(
        of["shard"], EncodeConfig(autoencoder=str(home / "pipeline"), size=16, device="cpu"), store
    ),
    "train": lambda store, of, _: train(of["shard"], None, None, (), None, (), TRAINING, store=store),
    "evaluate": lambda store, of, _: evaluate(of["train"], of["shard"], None, (), JUDGED, store=store),
}
POINTS = 8
"""Crash points of each stage, evenly over its calls of the store."""


@pytest.fixture(scope="module")
def base(home: Path) -> Path:
    """A store with a dataset, and a model that has learned nothing."""
    store = open_store(str(home / "store"))
    worlds.model(store, worlds.dataset(store, home / "pictures", rows=40))
    return home / "store"


def copied(base: Path, folder: Path) -> tuple[FolderStore, Made]:
    shutil.copytree(base, folder, copy_function=os.link)
    store = FolderStore(folder)
    return store, {artifact.stage: artifact for artifact in artifacts(store)}


@pytest.fixture(autouse=True)
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings run in this process: to start others takes longer than they do."""
    monkeypatch.setattr(launch, "train", in_this_process)


@pytest.mark.parametrize("name", RUNS)
def test_a_stage_that_died_at_any_call_of_the_store_goes_on(
    base: Path, home: Path, tmp_path: Path, name: str
) -> None:
    make = RUNS[name]
    calls: list[str] = []
    store, inputs = copied(base, tmp_path / "undisturbed")

    def counted(key: str, operation: Callable[[], Any]) -> Any:
        calls.append(key)
        return operation()

    whole = make(Watched(store, counted), inputs, home)
    assert not whole.cached
    for number in range(POINTS):
        at = 1 + (len(calls) - 1) * number // POINTS
        store, inputs = copied(base, tmp_path / f"{number}")
        with pytest.raises(Crash):
            make(crashing(store, at, after=bool(number % 2)), inputs, home)
        again = make(store, inputs, home)
        assert again.digest == whole.digest, (at, calls[at - 1])
        assert again.verify() == []
        assert leases_in_use(store) == []
        collect_garbage(store, grace=timedelta(0))
        assert again.verify() == []
