"""A refresh that lost half of its pictures: nothing learns from it until somebody approves it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from flows.pipeline import pipeline
from flows.refresh_dataset import refresh_dataset
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.step import entry_on_hold
from flows.steps import STEPS
from stages.artifacts.reference import approve, refer, references, resolve
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask
from tests.stages.retention.birds import refreshed

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def shrinking(run: Run, pictures: Path, tmp_path: Path) -> tuple[Run, Callable[[], None]]:
    """A run on pictures of its own, and what deletes more than half of them."""
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    source = FolderSource(name="p", folder=str(folder))
    collect = CollectConfig(folders=(source,), part_rows=20, workers=1)

    def shrink() -> None:
        for number in range(1, 24):
            (folder / f"{number:03d}.png").unlink()

    return replace(run, name="birds", collect=collect), shrink


@pytest.mark.slow
def test_nothing_learns_from_a_version_on_hold_until_it_is_approved(
    shrinking: tuple[Run, Callable[[], None]], sdflow: Command
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    run, shrink = shrinking
    store = open_store(run.store)
    first = result_of(STEPS, "shard", run, Terminal(), upstream=True)
    shrink()
    second = result_of(STEPS, "shard", run, Terminal(), upstream=True)
    (why,) = references(store, "datasets/birds")[1].on_hold
    assert why.startswith("lost 23 of 40 pictures (57.5%) since datasets/birds@1, more than max_loss=0.5")
    assert resolve(store, "datasets/birds").digest == first.digest
    remedy = 'sdflow approve datasets/birds@2 --why "..."'
    for upstream in (False, True):
        with pytest.raises(ValueError, match=r"^datasets/birds@2 is on hold: lost 23") as refused:
            result_of(STEPS, "train", run, Terminal(), upstream=upstream)
        assert remedy in str(refused.value)
    place = ("--store", run.store)
    assert sdflow("approve", "datasets/birds@1", "--why", "x", *place)[0] == 2
    status, _, error = sdflow("approve", "datasets/birds", "--why", "x", *place)
    assert (status, "on hold are datasets/birds@2" in error) == (2, True)
    assert sdflow("approve", "datasets/birds@2", "--why", " ", *place)[0] == 2
    assert sdflow("approve", "datasets/birds@2", "--why", "x" * 1001, *place)[0] == 2
    assert "on hold" in sdflow("ls", *place)[1]

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        status, out, _ = sdflow("approve", "datasets/birds@2", "--why", "they moved", "--by", "ann", *place)
    assert status == 0
    assert why in out
    assert "approved by ann on " in out
    assert "nothing was triggered, as no Prefect server is set" in out
    assert resolve(store, "datasets/birds@latest").digest == second.digest
    shown = sdflow("show", "datasets/birds", *place)[1]
    assert f"was on hold: {why}" in shown
    assert "approved by ann on " in shown
    assert "on hold" not in sdflow("ls", *place)[1]
    assert sdflow("gc", "--older-than", "0s", *place)[0] == 0
    status, verified, _ = sdflow("verify", *place)
    assert (status, "0 of them damaged" in verified) == (0, True)
    model = result_of(STEPS, "train", run, Terminal())
    assert model.manifest.inputs["dataset"]["fingerprint"] == second.fingerprint  # pyright: ignore[reportOptionalSubscript] -- train has one


def test_any_approved_entry_of_a_dataset_lets_it_through(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    dataset = refreshed(store, 1)[0]
    for limit in (7, 9):  # other limits, other reasons: the same dataset by another number
        refer(store, "datasets/birds", dataset, {"on_hold": [f"1 pictures, fewer than min_rows={limit}"]})
    (entry, *_) = [entry for entry in references(store, "datasets/birds") if entry.on_hold]
    store.delete(["refs/datasets/birds/00000001.json"])
    on_hold = entry_on_hold(store, "birds", dataset.fingerprint)
    assert (str(entry), str(on_hold)) == ("datasets/birds@2", "datasets/birds@3")
    approve(store, str(entry), why="seen", by="ann")
    assert entry_on_hold(store, "birds", dataset.fingerprint) is None


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """An address on the loopback, and the JSON that was posted to it."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret-path", posted
        server.shutdown()


@pytest.mark.matrix
@pytest.mark.prefect
@pytest.mark.slow
def test_a_version_on_hold_is_notified_and_announced_only_once_it_is_approved(
    server: str,
    shrinking: tuple[Run, Callable[[], None]],
    sdflow: Command,
    webhook: tuple[str, list[Any]],
) -> None:
    run, shrink = shrinking
    address, posted = webhook
    for _ in range(2):  # the same again makes no second automation
        notify = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "notify.py")],
            env={**os.environ, "NOTIFY_URL": address, "PREFECT_API_URL": server},
            capture_output=True,
            text=True,
            check=False,
        )
        assert notify.returncode == 0, notify.stderr
        assert "secret-path" not in notify.stdout + notify.stderr

    assert refresh_dataset(run.dataset_run, edition="monday", return_state=True).name == "Completed"
    shrink()
    for _ in range(2):  # a refresh that finds it on hold still sends no second message
        state = refresh_dataset(run.dataset_run, edition="tuesday", return_state=True)
        assert (state.name, state.is_completed()) == ("On hold", True)
        assert "sdflow approve datasets/birds@2" in (state.message or "")
    waiting = events(server, 2)
    assert [event["event"] for event in waiting] == ["dataset.refreshed", "dataset.held"]
    assert waiting[1]["payload"]["dataset"] == "datasets/birds@2"
    assert waiting[1]["payload"]["reasons"].startswith("lost 23 of 40 pictures (57.5%)")
    assert until(lambda: posted)[0]["text"].startswith(
        "datasets/birds@2 is on hold: lost 23 of 40 pictures (57.5%) since datasets/birds@1, more than "
        "max_loss=0.5"
    )

    failed = pipeline(run, return_state=True)
    assert failed.is_failed()
    with pytest.raises(ValueError, match=r"datasets/birds@2 is on hold: .*sdflow approve datasets/birds@2"):
        failed.result()
    assert references(open_store(run.store), "models/birds") == []

    command = ("approve", "datasets/birds@2", "--why", "they moved", "--by", "ann", "--store", run.store)
    status, out, error = sdflow(*command)
    assert (status, error) == (0, "")
    assert "announced on Prefect's server" in out
    assert "it had been announced before" in sdflow(*command)[1]
    payload = events(server, 3)[2]["payload"]
    assert payload["cause"] == "approved by ann: datasets/birds@2"
    assert payload["dataset"] == "datasets/birds@2"
    assert len(events(server, 3)) == 3
    assert len(posted) == 1
    state = refresh_dataset(run.dataset_run, edition="tuesday", return_state=True)
    assert state.name == "Completed"
    assert {result.stage for result in pipeline(run).values()} >= {"train", "evaluate"}


def events(server: str, count: int) -> list[dict[str, Any]]:
    """What the server has heard of datasets/birds, oldest first."""
    question = {"filter": {"event": {"prefix": ["dataset."]}, "order": "ASC"}}

    def about_birds() -> list[dict[str, Any]]:
        answers = ask(server, "events/filter", question)["events"]
        return [each for each in answers if each["resource"]["prefect.resource.id"] == "datasets/birds"]

    return until(lambda: len(about_birds()) >= count and about_birds())


def until(question: Callable[[], Any]) -> Any:
    """What a question answers once it answers anything; events take their time."""
    end = time.monotonic() + 300
    while not (answer := question()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return answer
