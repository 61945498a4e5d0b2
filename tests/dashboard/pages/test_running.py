"""What runs, and a page of one that does: its funnel and its curve, which grows while it learns."""

import math
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.lease import acquire
from stages.artifacts.loss_curve import POINTS, LossCurve
from stages.artifacts.status import Status, TrainingStatus, status_log
from stages.reasons import EXPLANATIONS, Reason
from stages.reporter import Wait
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS
from tests.dashboard.training import training_at_work

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


def test_what_runs_leads_to_its_page(empty: TestClient, tmp_path: Path):
    leave(open_store(str(tmp_path / "store")), AT_WORK)
    assert f'href="/running/train/{"ab" * 32}"' in empty.get("/running").text


def test_work_shows_its_funnel_parts_and_what_it_waits_for(empty: TestClient, tmp_path: Path):
    wait = Wait("h.org", "03:12:40 UTC", "it asked us to <wait>")
    status = replace(
        AT_WORK, stage="collect", training=None, wait=wait, parts_made=3, parts_found=4, parts_total=9,
        funnel=Funnel(200, 150, {"too_small": 50}),
    )  # fmt: skip
    store = open_store(str(tmp_path / "store"))
    leave(store, status)
    path = f"/running/collect/{status.fingerprint}"
    lease = acquire(store, status.stage, status.fingerprint, lambda holder: False)
    assert lease is not None
    with lease:
        text = empty.get(path).text
    assert "waiting for" not in empty.get(path).text  # a dead process waits for nothing
    assert "waiting for h.org until 03:12:40 UTC (it asked us to &lt;wait&gt;)" in text
    assert "3 made, 4 found finished, of 9" in text
    meaning = f'<span class="meaning">{EXPLANATIONS[Reason.TOO_SMALL]}</span>'
    for outcome, rows, share in ((f"too small{meaning}", 50, "25.0%"), ("went on", 150, "75.0%")):
        row = f'{outcome}</th><td class="number">{rows}</td><td class="number">{share}</td>'
        assert row in text
    assert 'class="bar-out"' in text
    assert "Losses so far" not in text
    assert "birds &lt;b&gt;" in text


def test_work_that_nobody_does_is_said_to_be(empty: TestClient):
    path = f"/running/train/{'cd' * 32}"
    answer = empty.get(path)
    assert answer.status_code == 404
    assert "Nobody is at work on it, and it has no result" in answer.text
    part = empty.get(path, headers={"HX-Request": "true"})
    assert part.status_code == 286  # htmx asks no more
    assert "<html" not in part.text


def test_work_that_is_finished_leads_to_its_result(client: TestClient, made: dict[str, Artifact]):
    path = f"/running/train/{made['train'].fingerprint}"
    text = client.get(path).text
    assert f'It is finished. <a href="/models/{made["train"].fingerprint}">Open its result</a>' in text
    assert "hx-get" not in text
    assert client.get(path, headers={"HX-Request": "true"}).status_code == 286


def test_a_curve_of_many_points_and_a_loss_that_is_none(empty: TestClient, tmp_path: Path):
    curve = LossCurve()
    for number in range(1, 5000):
        curve.add(32 * number, math.nan if number == 4999 else 1 / number)
    training = TrainingStatus.of({"loss": math.nan}, 50.0, 1.0, {"loss": curve})
    leave(open_store(str(tmp_path / "store")), replace(AT_WORK, training=training))
    text = empty.get(f"/running/train/{AT_WORK.fingerprint}").text
    assert 1 < points(text) <= POINTS
    assert "1 not a number" in text


def points(text: str) -> int:
    """Of the first curve of a page; 0 where it has none."""
    line = re.search(r'class="series-0 line" fill="none" d="(M[^"]*L[^"]*)"', text)
    return len(re.findall("[ML]", line[1])) if line else 0


@pytest.mark.slow
def test_the_curve_of_a_training_at_work_grows(copied: Store, made: dict[str, Artifact]):
    with (
        TestClient(create_app(copied), base_url=ADDRESS) as client,
        training_at_work(copied, made["shard"]) as fingerprint,
    ):
        path = f"/running/train/{fingerprint}"
        while (first := points(client.get(path).text)) < 2:
            time.sleep(0.1)
        while points(client.get(path, headers={"HX-Request": "true"}).text) <= first:
            time.sleep(0.1)
    assert "last heard of" in client.get(path).text
    assert points(client.get(path).text) > first
