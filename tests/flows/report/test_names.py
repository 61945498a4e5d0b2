"""What flow runs are called."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.report import names
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer
from stages.config.run import DatasetRun
from stages.fingerprint import short_hash
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import open_store
from tests.flows.test_tasks import Config

START = datetime(2026, 11, 29, 4, 0, 59, tzinfo=timezone(timedelta(hours=1)))

Naming = Callable[..., str]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Naming:
    """What Prefect would get: a name, of a run with some parameters."""

    def called(naming: Callable[[], str], /, **parameters: Any) -> str:
        run = SimpleNamespace(parameters=parameters, scheduled_start_time=START, flow_name="train_model")
        monkeypatch.setattr(names, "flow_run", run)
        return naming()

    return called


@stage(version=1, kind="thing", name="shard")
def made(config: Config, out: Output) -> Stats:
    return Stats(Funnel(1, 1))


@pytest.fixture
def dataset(tmp_path: Path) -> Artifact:
    """Filed as version 2 of datasets/birds, and as datasets/cats."""
    store = open_store(str(tmp_path))
    artifact = made(Config(), store=store)
    refer(store, "datasets/birds", artifact, {"first": True})
    refer(store, "datasets/birds", artifact)
    refer(store, "datasets/cats", artifact)
    return artifact


def test_a_refresh_is_called_by_its_edition_to_the_minute(called: Naming):
    run = DatasetRun(name="birds")
    assert called(names.refresh_name, run=run, edition="") == "birds 2026-11-29T03:00"
    assert called(names.refresh_name, run=run, edition="2026-11-21T03:00:00Z") == "birds 2026-11-21T03:00"
    assert called(names.refresh_name, run=run, edition="2026 spring") == "birds 2026 spring"
    assert called(names.pipeline_name, run=run) == "birds 2026-11-29T03:00"
    assert called(names.stage_name, name="birds") == "birds"


@pytest.mark.parametrize(
    ("name", "reference", "version"),
    [
        ("birds", "datasets/birds", "datasets/birds@2"),
        ("birds", "datasets/birds@1", "datasets/birds@1"),
        ("cats", "datasets/birds@latest", "datasets/birds@2"),
        ("cats", "shard/{}", "datasets/cats@1"),
        ("birds", "{}", "datasets/birds@2"),
        ("nobody", "shard/{}", "shard/{short}"),
        ("nobody", "{}", "{short}"),
    ],
)
def test_a_training_is_called_by_the_version_it_learns_from(
    name: str, reference: str, version: str, called: Naming, dataset: Artifact, tmp_path: Path
):
    text = reference.format(dataset.fingerprint)
    words = called(names.train_name, name=name, store=str(tmp_path), dataset=text)
    assert words == f"{name} on {version.format(short=short_hash(dataset.fingerprint))}"
    words = called(names.evaluate_name, name=name, store=str(tmp_path), model="datasets/birds")
    assert words == f"{name} of datasets/birds@2"


@pytest.mark.parametrize("store", ["nowhere", "s3://key:s3cr3t@bucket/x", 5])
def test_a_name_never_fails_a_run(
    store: Any, called: Naming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    messages: list[str] = []
    logger = SimpleNamespace(warning=lambda words, *values: messages.append(words % values))
    monkeypatch.setattr(names, "get_run_logger", lambda: logger)
    place = str(tmp_path / store) if store == "nowhere" else store
    assert called(names.train_name, name="bi\x1brds", store=place, dataset="datasets/birds") == "bi\\x1brds"
    assert called(names.pipeline_name, run=None) == "train_model"
    assert len(messages) == 2
    assert "s3cr3t" not in messages[0]
