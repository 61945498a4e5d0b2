"""The index is made beside the pages: who needs it waits for a while, and is told how far it is."""

import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.catalogue import Catalogue, Contents
from dashboard.pictures.reader import begin_indexing
from dashboard.tables.index import TableIndex
from dashboard.tables.indexing import Indexing, IndexUnfinishedError
from stages.artifacts.artifact import Artifact
from stages.store import Store
from tests.dashboard.conftest import ADDRESS


class SlowIndex(TableIndex):
    """Takes nothing in before it may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may = threading.Event()
        self.updates = 0

    def update(self, contents: Contents) -> None:
        self.updates += 1
        assert self.may.wait(300)
        super().update(contents)


def test_who_waits_too_long_is_told_and_the_work_goes_on_once(filled: Store, tmp_path: Path):
    contents, index = Catalogue(filled).contents(), SlowIndex(tmp_path / "index")
    indexing = Indexing(index)
    for _ in range(3):
        with pytest.raises(IndexUnfinishedError, match=r"is being made: 0 of \d+ results in"):
            indexing.wait(contents, 0.0)
    index.may.set()
    indexing.wait(contents, 300)
    indexing.wait(contents, 0.0)  # nothing is left to do
    assert index.version == contents.version
    assert index.cost.rows > 0
    assert index.updates == 1


def test_what_goes_wrong_is_raised_by_who_waits(filled: Store, tmp_path: Path):
    (tmp_path / "index").write_text("a file")
    with pytest.raises((ValueError, OSError)):
        Indexing(TableIndex(tmp_path / "index")).wait(Catalogue(filled).contents(), 300)


def test_pages_that_need_it_say_so_meanwhile_and_others_open(
    filled: Store, made: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
):
    index: list[SlowIndex] = []

    def slow(folder: Path) -> SlowIndex:
        index.append(SlowIndex(folder))
        return index[0]

    monkeypatch.setattr("dashboard.pictures.reader.TableIndex", slow)
    monkeypatch.setattr("dashboard.pictures.reader.PATIENCE", 0.0)
    with TestClient(create_app(filled), base_url=ADDRESS) as client:
        begin_indexing(client.app)  # type: ignore[arg-type]
        answer = client.get("/search?q=square")
        assert answer.status_code == 503
        assert "The index of tables is being made" in answer.text
        assert answer.headers["Refresh"] == "3"
        for path in ("/", "/graph", f"/artifacts/shard/{made['shard'].fingerprint}"):
            assert client.get(path).status_code == 200
        index[0].may.set()
        monkeypatch.setattr("dashboard.pictures.reader.PATIENCE", 300.0)
        answer = client.get(f"/images/{made['shard'].table('index')['uid'][0]}")
    assert answer.status_code == 200
    assert "Found by an index of" in answer.text
    assert len(index) == index[0].updates == 1
