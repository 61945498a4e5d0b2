"""`sdflow retain`: what it says before and after, and what other commands say of what was dropped."""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.artifacts.reference import refer, resolve
from stages.store import Store, open_store
from tests.stages.retention.birds import Seed, evaluate, model_of, refreshed, train

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four versions of yesterday; a model learned from the first."""
    store = open_store(str(tmp_path / "store"))
    model_of(store, refreshed(store, 4)[0])
    yesterday = time.time() - 86_400
    for path in Path(store.url).rglob("manifests/**/*.json"):
        os.utime(path, (yesterday, yesterday))
    return store


def test_it_tells_beforehand_and_drops(sdflow: Told, store: Store):
    rule = ("retain", "datasets/birds", "--last", 2, "--store", store.url)
    before = {listed.key for listed in store.list("")}
    status, planned, _ = sdflow(*rule, "--dry-run")
    assert status == 0
    assert {listed.key for listed in store.list("")} == before
    assert "would drop 4 versions and 8 results; `sdflow gc` would free up to" in planned
    assert "models/birds@1 learned from datasets/birds@1: its name stays" in planned
    lines = {line.split()[0]: line.split()[1] for line in planned.splitlines() if "birds@" in line[:20]}
    assert lines["datasets/birds@1"] == lines["images/birds@2"] == "goes"
    assert lines["datasets/birds@3"] == lines["images/birds@4"] == "stays"
    status, out, _ = sdflow(*rule)
    assert status == 0
    assert "dropped 4 versions and 8 results" in out

    status, out, _ = sdflow("show", "datasets/birds@1", "--store", store.url)
    assert status == 0
    assert "dropped   datasets/birds@1 was dropped on" in out
    assert "by retention of datasets/birds (last 2)" in out
    shown = sdflow("show", "models/birds", "--store", store.url)[1]
    assert re.search(
        r"input     dataset: shard/\w{12} \(datasets/birds@1, dropped on \d{4}-\d\d-\d\d\)\n", shown
    )
    record = json.loads(sdflow("show", "datasets/birds@1", "--store", store.url, "--json")[1])
    assert record["dropped"]["references"] == ["datasets/birds@1"]
    assert record["files"] == {}
    status, _, error = sdflow("export", "datasets/birds@1", "x", "--store", store.url)
    assert status == 2
    assert "was dropped on" in error
    assert "2 other versions were dropped" in sdflow("ls", "datasets/birds", "--store", store.url)[1]
    assert sdflow("verify", "--store", store.url)[0] == 0
    assert json.loads(sdflow(*rule, "--json")[1])["artifacts"] == []


def test_models_go_with_their_evaluations(sdflow: Told, store: Store):
    dataset = resolve(store, "datasets/birds")
    for seed in range(1, 3):
        model = train(dataset, None, None, Seed(seed=seed), store=store)
        refer(store, "models/birds", model)
        refer(store, "evaluations/birds", evaluate(model, dataset, Seed(), store=store))
    yesterday = time.time() - 86_400
    for path in Path(store.url).rglob("manifests/**/*.json"):
        os.utime(path, (yesterday, yesterday))

    def artifacts(*names: str) -> list[str]:
        out = sdflow("retain", *names, "--last", 1, "--store", store.url, "--dry-run", "--json")[1]
        return [artifact.split("/")[0] for artifact in json.loads(out)["artifacts"]]

    assert artifacts("models/birds") == ["train"]  # that which nobody has evaluated
    assert artifacts("models/birds", "evaluations/birds") == ["evaluate", "train", "train"]


def test_what_cannot_be_done_is_one_line(sdflow: Told, store: Store):
    for arguments, words in [
        ([], "no name is given"),
        (["datasets/dogs"], "'datasets/dogs' is no name with versions"),
    ]:
        status, _, error = sdflow("retain", *arguments, "--last", 1, "--store", store.url)
        assert status == 2
        assert words in error
    status, _, error = sdflow("retain", "datasets/birds", "--last", 0, "--store", store.url)
    assert status == 2
    assert "last=0 keeps every version" in error
    Path(store.url, "tombstones/shard", "0" * 64).mkdir(parents=True)
    Path(store.url, "tombstones/shard", "0" * 64, "1.json").write_text("{}")
    assert sdflow("show", "datasets/birds", "--store", store.url)[0] == 0  # it asks for no tombstone
    status, out, _ = sdflow("retain", "datasets/birds", "--last", 1, "--store", store.url)
    assert status == 1
    assert "nothing was dropped" in out
