from pathlib import Path

from starlette.testclient import TestClient

from stages.artifacts.artifact import Artifact


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
