import shutil
from pathlib import Path

from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS


def test_an_empty_store_says_how_to_fill_it(empty: TestClient):
    answer = empty.get("/")
    assert answer.status_code == 200
    assert "sdflow demo" in answer.text


def test_every_name_leads_to_its_newest_result(client: TestClient, made: dict[str, Artifact]):
    text = client.get("/").text
    assert f'href="/artifacts/shard/{made["shard"].fingerprint}"' in text
    assert "datasets/line" in text
    assert "@1" in text


def test_what_is_nowhere_is_said_to_be(client: TestClient):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text


def test_a_damaged_record_is_named_and_hides_nothing_else(empty: TestClient, tmp_path: Path):
    (tmp_path / "store/refs/images").mkdir(parents=True)
    (tmp_path / "store/refs/images/00000001.json").write_text("{}")
    answer = empty.get("/")
    assert answer.status_code == 200
    assert "Damaged records" in answer.text


def test_a_version_on_hold_is_named_with_why_and_the_command(
    filled: Store, made: dict[str, Artifact], tmp_path: Path
):
    store = open_store(shutil.copytree(filled.url, tmp_path / "own").as_posix())
    refer(store, "datasets/held", made["shard"], note={"on_hold": ["rows: 3 of <b>10</b>"]})
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        text = client.get("/").text
    assert "rows: 3 of &lt;b&gt;10&lt;/b&gt;" in text
    assert "sdflow approve datasets/held@1 --why" in text
