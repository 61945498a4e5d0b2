"""A refresh drops the versions that its run's config does not keep; where that fails, the refresh stands."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flows.refresh_dataset import refresh_dataset
from stages.artifacts.reference import references
from stages.config.collect import CollectConfig, FolderSource
from stages.config.retention import RetainConfig
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def numbers(store: str, name: str) -> list[int]:
    return [entry.number for entry in references(open_store(store), name)]


def test_a_refresh_applies_its_rule_and_stands_where_that_fails(
    server: str, run: Run, pictures: Path, tmp_path: Path, more_pictures: Callable[[Path], None]
):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    collect = CollectConfig(folders=(FolderSource(name="p", folder=str(folder)),), part_rows=20, workers=1)
    store = str(tmp_path / "store")
    trimmed = replace(
        run, name="trimmed", store=store, collect=collect, retain=RetainConfig(last=1)
    ).dataset_run
    refresh_dataset(trimmed, edition="monday")
    more_pictures(folder)
    refresh_dataset(trimmed, edition="tuesday")
    assert numbers(store, "datasets/trimmed") == [1, 2]  # published within the hour
    yesterday = time.time() - 86_400
    for path in Path(store).rglob("manifests/**/*.json"):
        os.utime(path, (yesterday, yesterday))
    refresh_dataset(trimmed, edition="wednesday")
    assert numbers(store, "datasets/trimmed") == [2]
    assert numbers(store, "images/trimmed") == [2, 3]

    damaged = Path(store, "tombstones/shard", "0" * 64, f"{'1' * 64}.json")
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"{}")
    state = refresh_dataset(trimmed, edition="thursday", return_state=True)
    assert state.is_completed()
    assert numbers(store, "images/trimmed") == [2, 3, 4]
    runs = ask(
        server, "task_runs/filter", {"task_runs": {"name": {"any_": ["retain"]}}, "sort": "END_TIME_DESC"}
    )
    assert [each["state_type"] for each in runs[:2]] == ["FAILED", "COMPLETED"]
    assert str(damaged.name) in runs[0]["state"]["message"]
