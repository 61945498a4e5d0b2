"""One small dataset and untrained models of both kinds, in a store that the tests share."""

from pathlib import Path

import pytest
import torch

from stages.artifacts.artifact import Artifact
from stages.store import Store, open_store
from tests.stages import worlds


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("evaluate") / "store"))


@pytest.fixture(scope="package")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="package")
def model(store: Store, dataset: Artifact) -> Artifact:
    return worlds.model(store, dataset)


@pytest.fixture(scope="package")
def contrastive(store: Store, dataset: Artifact) -> Artifact:
    return worlds.model(store, dataset, worlds.changed(objective="contrastive", size=32))


@pytest.fixture(scope="package")
def clip(contrastive: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that contrastive model."""
    return contrastive.lay("model/", tmp_path_factory.mktemp("clip") / "clip")
