import math
import shutil
from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact
from stages.artifacts.lease import acquire
from stages.artifacts.reference import refer
from stages.artifacts.status import Status, TrainingStatus, status_log
from stages.reporter import Wait
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


AT_WORK = Status(
    stage="train", fingerprint="ab" * 32, run="birds <b>", host="a-host", started="2026-01-01T00:00:00Z",
    updated="2026-01-01T00:01:00Z", done=3_000, total=9_000, unit="images", note="step 30", per_second=50.0,
    parts_made=0, parts_found=0, parts_total=0, funnel=None,
    training=TrainingStatus.of({"loss": 0.25, "validation": math.nan}, 50.0, 130.0), wait=None, warnings=2,
)  # fmt: skip


def leave(store: Store, status: Status) -> None:
    assert status_log(store, status.stage, status.fingerprint).append(1, status.to_json())


def test_what_runs_is_a_part_of_the_page_and_a_page(empty: TestClient, tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    assert 'hx-get="/running"' in empty.get("/").text
    assert "Nothing runs here now." in empty.get("/running").text
    leave(store, AT_WORK)
    lease = acquire(store, AT_WORK.stage, AT_WORK.fingerprint, lambda holder: False)
    assert lease is not None
    with lease:
        part = empty.get("/running", headers={"HX-Request": "true"}).text
        assert "<html" not in part
        assert part.strip() in empty.get("/running").text
    for words in ("birds &lt;b&gt;", "a-host", "3,000 of 9,000 images", "50/s", "2 min 10 s", "step 30"):
        assert words in part
    assert "loss 0.2500, validation not finite" in part
    assert 'step 30, <span class="warning">2 warnings' in part
    assert "stale" not in part


def test_what_a_stage_waits_for_is_said(empty: TestClient, tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    wait = Wait("h.org", "03:12:40 UTC", "it asked us to wait")
    status = replace(AT_WORK, stage="collect", training=None, done=0, total=0, per_second=None, wait=wait)
    leave(store, status)
    lease = acquire(store, status.stage, status.fingerprint, lambda holder: False)
    assert lease is not None
    with lease:
        part = empty.get("/running").text
    assert "waiting for h.org until 03:12:40 UTC (it asked us to wait)" in part


def test_what_a_dead_process_left_is_stale(empty: TestClient, tmp_path: Path):
    leave(open_store(str(tmp_path / "store")), AT_WORK)
    part = empty.get("/running").text
    assert "stale</span> since 20" in part
    assert "2 min 10 s" not in part
