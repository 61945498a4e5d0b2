"""A refresh says so when, and only when, the dataset became another one."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.refresh_dataset import refresh_dataset
from flows.tasks import resolved
from stages.artifacts.reference import references
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def test_a_refresh_announces_a_dataset_once_and_again_when_it_changed(
    server: str, run: Run, pictures: Path, tmp_path: Path, more_pictures: Callable[[Path], None]
):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    source = FolderSource(name="p", folder=str(folder))
    run = replace(run, name="fresh", collect=CollectConfig(folders=(source,), part_rows=20, workers=1))

    first = refresh_dataset(run.dataset_run, edition="monday")
    assert announced(server) == [payload(run, first, "monday", 1)]

    second = refresh_dataset(run.dataset_run, edition="tuesday")
    assert [name for name, one in second.items() if not one.cached] == ["collect"]
    assert second["collect"].digest == first["collect"].digest
    assert second["shard"] == replace(first["shard"], cached=True)

    more_pictures(folder)
    third = refresh_dataset(run.dataset_run, edition="wednesday")
    assert third["collect"].open().statistics["copied"] == 8  # the others are reused by reference
    assert third["shard"].digest != first["shard"].digest
    assert announced(server, 2) == [
        payload(run, first, "monday", 1),
        payload(run, third, "wednesday", 2),
    ]
    assert [one.number for one in references(open_store(run.store), "images/fresh")] == [1, 2, 3]

    # An edition again finds what it built on then.
    again = refresh_dataset(run.dataset_run, edition="wednesday")
    assert all(one.cached for one in again.values())


def test_references_are_resolved_to_fingerprints(server: str, run: Run):
    with pytest.raises(ValueError, match="there is no store"):
        resolved(run.store, "datasets/none")
    open_store(run.store)
    with pytest.raises(ValueError, match="references: none yet"):
        resolved(run.store, "datasets/none")


def payload(run: Run, results: dict[str, Any], edition: str, number: int) -> dict[str, str]:
    dataset = results["shard"]
    return {
        "result": f"shard/{dataset.fingerprint}",
        "digest": dataset.digest,
        "store": run.store,
        "dataset": f"datasets/fresh@{number}",
        "cause": f"refresh_dataset fresh {edition} datasets/fresh@{number}",
    }


def announced(server: str, wanted: int = 1) -> list[dict[str, str]]:
    """What the server has heard of datasets/fresh, oldest first; events may arrive after their run's end."""
    events: list[dict[str, Any]] = []
    until = time.monotonic() + 300
    while time.monotonic() < until:
        question = {"filter": {"event": {"name": ["dataset.refreshed"]}, "order": "ASC"}}
        events = ask(server, "events/filter", question)["events"]
        events = [one for one in events if one["resource"]["prefect.resource.id"] == "datasets/fresh"]
        if len(events) >= wanted:
            break
        time.sleep(0.5)
    return [one["payload"] for one in events]
