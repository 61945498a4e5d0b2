"""The dashboard of a store in which the whole line has run, asked in this process as a browser asks it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.store import Store, open_store
from tests.conftest import Line

ADDRESS = "http://127.0.0.1:8321"
NAMES = {
    "collect": "images/line",
    "shard": "datasets/line",
    "train": "models/line",
    "evaluate": "evaluations/line",
}


@pytest.fixture(scope="session", autouse=True)
def _index_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The index of tables lies in a cache folder of the tests; pages wait for it on a busy machine, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dashboard.pictures.reader.PATIENCE", 300.0)
        patch.setenv("SDFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def copied(filled: Store, tmp_path: Path) -> Store:
    """A copy of that store, which may be changed."""
    shutil.copytree(filled.url, tmp_path / "copied")
    return open_store(str(tmp_path / "copied"))


@pytest.fixture(scope="session")
def filled(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A copy of the line's store, with names. Shared: whoever changes it copies it again."""
    folder = tmp_path_factory.mktemp("dashboard") / "store"
    shutil.copytree(line.store, folder)
    store = open_store(str(folder))
    for stage, artifact in line.artifacts(folder).items():
        if stage in NAMES:
            refer(store, NAMES[stage], artifact)
    return store


@pytest.fixture(scope="session")
def made(line: Line, filled: Store) -> dict[str, Artifact]:
    """The artifact of each stage in it."""
    return line.artifacts(Path(filled.url))


@pytest.fixture(scope="session")
def client(filled: Store) -> Iterator[TestClient]:
    """Asks the dashboard of that store."""
    with TestClient(create_app(filled), base_url=ADDRESS) as asked:
        yield asked


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    """The dashboard of a store that holds nothing, in `tmp_path / "store"`."""
    store = open_store(str(tmp_path / "store"))
    with TestClient(create_app(store), base_url=ADDRESS) as asked:
        yield asked
