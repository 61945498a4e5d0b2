"""`sdflow ls --running`."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stages.artifacts.lease import acquire
from stages.artifacts.status import TrainingStatus, status_log
from stages.reporter import Wait
from stages.store import Store, open_store
from tests.stages.artifacts.test_status import AT_WORK

Told = Callable[..., tuple[int, str, str]]
TRAINING = replace(
    AT_WORK, stage="train", fingerprint="cd" * 32, done=64_000, total=100_000, unit="images", wait=None,
    warnings=0, note="Muon \x1b[31m", training=TrainingStatus.of({"loss": 0.51234}, 80.0, 450.0),
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def ls(sdflow: Told, store: Store) -> Callable[..., str]:
    """What `sdflow ls --running` prints."""

    def run(*arguments: str) -> str:
        status, out, error = sdflow("ls", "--running", *arguments, "--store", store.url)
        assert status == 0, error
        return out

    return run


def test_what_runs_how_far_and_until_when(store: Store, ls: Callable[..., str]):
    for status in (replace(AT_WORK, per_second=12345.6), TRAINING):
        status_log(store, status.stage, status.fingerprint).append(1, status.to_json())
    lease = acquire(store, "train", "cd" * 32, lambda _: False)
    assert lease is not None
    with lease:
        out = ls()
        data = json.loads(ls("--json"))
        assert "dedup" not in ls("--stage", "train")
    dead, alive = out.splitlines()[1:3]
    assert re.split(" {2,}", alive) == [
        "train/cdcdcdcdcdcd", "birds", "a-host", "64,000 of 100,000 images", "0.5/s", "7 min 30 s",
        "loss 0.5123", r"Muon \x1b[31m",
    ]  # fmt: skip
    assert dead.startswith("dedup/abababababab")
    assert "30 of 90 parts" in dead
    assert "12,346/s" in dead
    assert "stale since 20" in dead
    assert "the same run goes on with it, gc sweeps it" in out
    assert [entry["stage"] for entry in data] == ["dedup", "train"]
    assert data[0]["funnel"] == {"rows_in": 9, "rows_out": 8, "reasons": {"too_small": 1}}
    assert data[1]["training"]["losses"] == {"loss": 0.51234}
    assert (data[1]["seconds_left"], data[1]["stale_since"]) == (450.0, "")


def test_who_waits_says_for_what(store: Store, ls: Callable[..., str]):
    status = replace(AT_WORK, wait=Wait("h.org", "03:12:40 UTC", "it asked us to wait"), total=0, done=0)
    status_log(store, status.stage, status.fingerprint).append(1, status.to_json())
    lease = acquire(store, status.stage, status.fingerprint, lambda _: False)
    assert lease is not None
    with lease:
        out = ls()
    assert "waiting for h.org until 03:12:40 UTC (it asked us to wait), 2 warnings" in out
    assert "0 of 0" not in out


def test_nothing_runs(store: Store, ls: Callable[..., str]):
    assert ls() == f"nothing runs in {store.url}\n"
    assert ls("--stage", "train") == f"nothing of train runs in {store.url}\n"
    assert json.loads(ls("--json")) == []


@pytest.mark.parametrize("arguments", [["datasets/birds"], ["--all"]])
def test_unfinished_work_has_no_name(sdflow: Told, store: Store, arguments: list[str]):
    status, _, error = sdflow("ls", "--running", *arguments, "--store", store.url)
    assert status == 2
    assert "leave out names and --all" in error
