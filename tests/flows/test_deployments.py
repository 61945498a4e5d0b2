"""prefect.yaml on a real server: setup, workers, a deployed refresh, and the training that it triggers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.run.lost_runs import LOST
from flows.run.setup import deploy_all, prepare
from stages.artifacts.reference import references, resolve
from stages.config.run import Run
from stages.store import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def deployments(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's prefect.yaml, with the tiny run in the place of its example."""
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
    values = {**asdict(run), "name": "birds"}
    for deployment in spec["deployments"]:
        parameters = deployment.get("parameters", {})
        if "run" in parameters:
            parameters["run"] = values
        if "store" in parameters:
            parameters["store"] = run.store
        if deployment["entrypoint"].endswith("train_model"):
            parameters["config"] = values["train"]
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    return path


@contextmanager
def worker(pool: str, server: str, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", f"test {pool}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PREFECT_API_URL": server, "PREFECT_WORKER_QUERY_SECONDS": "2"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.terminate()  # SIGINT is ignored by whatever a shell has started in the background
            try:
                process.wait(300)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def runs_of(client: Any, flow: str) -> list[Any]:
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    found = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])))
    return [one for one in found if not one.auto_scheduled]


def wait_for(what: str, condition: Any, log: Path) -> Any:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(1)
    raise AssertionError(f"{what} did not come; the workers said:\n{log.read_text()[-3000:]}")


def test_a_refresh_in_one_pool_starts_a_training_in_the_other(
    server: str, deployments: Path, run: Run, tmp_path: Path
):
    from prefect.automations import Automation
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment
    from prefect.states import Scheduled

    assert any("created work pool gpu, 1 at a time" in line for line in prepare())
    assert any("work pool gpu is there" in line for line in prepare())  # it may be repeated
    created = list(deploy_all(deployments))
    assert len(created) == len(yaml.safe_load(deployments.read_text())["deployments"]), created
    assert Automation.read(name=LOST, _sync=True).enabled

    data_log, gpu_log = tmp_path / "data.log", tmp_path / "gpu.log"
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("refresh_dataset/nightly")
        assert [one.schedule.cron for one in nightly.schedules if one.active] == ["0 3 * * *"]
        assert client.read_work_pool("gpu").concurrency_limit == 1

        started = run_deployment("refresh_dataset/nightly", timeout=0, _sync=True)
        edition = started.expected_start_time.strftime("%Y-%m-%dT%H:%M:%SZ")
        with worker("data", server, data_log), worker("gpu", server, gpu_log):

            def refreshed() -> bool:
                state = client.read_flow_run(started.id).state
                assert not state.is_failed(), state.message
                return state.is_completed()

            wait_for("the refresh's end", refreshed, data_log)
            # A retry keeps the expected start, so the edition: it finds everything, and announces nothing.
            client.set_flow_run_state(started.id, Scheduled(), force=True)
            trained = wait_for("a training", lambda: runs_of(client, "train_model"), gpu_log)[0]
            wait_for("the training's end", lambda: client.read_flow_run(trained.id).state.is_final(), gpu_log)
            wait_for(
                "the retry's end",
                lambda: client.read_flow_run(started.id).run_count == 2 and refreshed(),
                data_log,
            )
        done = client.read_flow_run(trained.id)
        assert done.state.is_completed(), done.state.message
        assert len(runs_of(client, "train_model")) == 1

    store = open_store(run.store)
    dataset = resolve(store, "datasets/birds")
    assert done.parameters["dataset"] == f"shard/{dataset.fingerprint}"
    assert resolve(store, "models/birds").manifest.inputs["dataset"] == {
        "stage": "shard",
        "fingerprint": dataset.fingerprint,
        "digest": dataset.digest,
    }
    assert resolve(store, "images/birds").config["edition"] == edition
    assert len(references(store, "images/birds")) == 1
