"""What is out of date, and why."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.catalogue import Catalogue
from dashboard.lineage.staleness import Stale, stale
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, refer
from stages.stage_version import stage_versions
from stages.store import FolderStore, Store, open_store
from stages.takedown.records import Name, forget
from tests.dashboard.conftest import ADDRESS


@pytest.fixture
def own(filled: Store, tmp_path: Path) -> FolderStore:
    """A store of the test's own."""
    store = open_store(str(shutil.copytree(filled.url, tmp_path / "own")))
    assert isinstance(store, FolderStore)
    return store


def found(store: Store, **versions: int) -> dict[str, Stale]:
    rows = stale(Catalogue(store).contents(), {**stage_versions(), **versions}, None)
    return {row.version.name: row for row in rows}


def another(store: Store, artifact: Artifact) -> Artifact:
    """A result of the same stage, by another request."""
    manifest = replace(artifact.manifest, fingerprint="ab" * 32)
    store.create(f"manifests/{artifact.stage}/{'ab' * 32}.json", manifest.to_json())
    return Artifact.open(store, artifact.stage, "ab" * 32)


def test_what_was_just_made_is_up_to_date(filled: Store, client: TestClient):
    assert found(filled) == {}
    assert "Nothing that the store can tell is out of date." in client.get("/stale").text


def test_a_newer_version_of_an_input(own: FolderStore, made: dict[str, Artifact]):
    refer(own, "datasets/line", another(own, made["shard"]))
    rows = found(own)
    assert set(rows) == {"models/line", "evaluations/line"}
    (reason,) = rows["models/line"].reasons
    assert reason.artifact.fingerprint == made["shard"].fingerprint
    assert "made from datasets/line@1, and datasets/line@2 is out" in reason.words


def test_a_newer_version_on_hold_makes_nothing_old(own: FolderStore, made: dict[str, Artifact]):
    refer(own, "datasets/line", another(own, made["shard"]), {ON_HOLD: ["too few"]})
    assert found(own) == {}


def test_another_version_of_a_stage(filled: Store, made: dict[str, Artifact]):
    rows = found(filled, filter=99)
    assert set(rows) == {"datasets/line", "models/line", "evaluations/line"}
    version = made["filter"].manifest.version
    assert rows["datasets/line"].reasons[0].words == (
        f"its code: filter is version 99 here, and version {version} made it"
    )


def test_take_downs_since(own: FolderStore, made: dict[str, Artifact]):
    forget(own, [Name("uid", made["shard"].table("index")["uid"][0])], "asked by the artist")
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        text = client.get("/stale").text
    assert "images/line@" in text
    assert "other take-downs count now" in text


def test_home_says_what_is_out_of_date_and_why(own: FolderStore, made: dict[str, Artifact]):
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        assert ">Out of date</a></h2>" not in client.get("/").text
        assert '<a href="/stale">Out of date</a>' in client.get("/").text  # in the navigation
    refer(own, "datasets/line", another(own, made["shard"]))
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        text = client.get("/").text
    assert '<h2><a href="/stale">Out of date</a></h2>' in text
    path = f"/models/{made['train'].fingerprint}"
    assert (
        f'<a href="{path}">models/line@1</a>: {made["shard"].short_name}, an input: it was made from' in text
    )


def test_home_opens_where_a_take_down_cannot_be_read(empty: TestClient, tmp_path: Path):
    (tmp_path / "store/takedowns").mkdir(parents=True)
    (tmp_path / "store/takedowns/00000001.json").write_text("{}")
    answer = empty.get("/")
    assert answer.status_code == 200
    assert "What is out of date cannot be said" in answer.text


def test_what_is_out_of_date_is_computed_once_a_version(
    own: FolderStore, made: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
):
    from dashboard.pages import stale as page

    computed: list[str] = []

    def counting(*arguments: object) -> list[Stale]:
        computed.append("")
        return stale(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(page, "stale", counting)
    with TestClient(create_app(own), base_url=ADDRESS) as client:
        for path in ("/", "/stale", "/"):
            assert client.get(path).status_code == 200
        assert len(computed) == 1
        refer(own, "datasets/line", another(own, made["shard"]))
        client.app.state.catalogue.look_again()  # type: ignore[attr-defined]
        assert "datasets/line@2 is out" in client.get("/").text
    assert len(computed) == 2
