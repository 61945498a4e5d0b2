"""A run deployed on a real server: a refresh under a worker, the chain that it starts; and prefect.yaml."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.run.lost_runs import ENVIRONMENT
from stages.artifacts.reference import references, resolve
from stages.config.run import Run
from stages.store import open_store
from tests.flows.processes import background

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]
TRAINING = "train_model/birds-on-refresh"


@pytest.fixture
def config(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny run as a file, in a folder to be in."""
    path = tmp_path / "birds.yaml"
    values: dict[str, Any] = {**asdict(replace(run, name="birds")), "store": "store"}
    path.write_text(yaml.safe_dump(_plain(values)))
    monkeypatch.chdir(tmp_path)
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def worker(pool: str, server: str, log: Path) -> Any:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", f"test {pool}"]
    environment = {**os.environ, "PREFECT_API_URL": server, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return background(command, log, env=environment)


def runs_of(client: Any, deployment: str) -> list[Any]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    number = client.read_deployment_by_name(deployment).id
    runs = client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[number])))
    return [run for run in runs if not run.auto_scheduled]


def wait_for(what: str, condition: Any, log: Path) -> Any:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if outcome := condition():
            return outcome
        time.sleep(1)
    raise AssertionError(f"{what} did not come; the worker's log:\n{log.read_text()[-3000:]}")


def test_a_deployed_refresh_in_one_pool_starts_a_training_in_the_other(
    server: str, sdflow: Callable[..., tuple[int, str, str]], config: Path, run: Run, tmp_path: Path
):
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment
    from prefect.states import Scheduled

    assert sdflow("setup", "--yes")[0] == 0
    status, _, error = sdflow("deploy", config, "--schedule", "0 3 * * *", "--train", "--yes")
    assert status == 0, error

    data_log, gpu_log = tmp_path / "data.log", tmp_path / "gpu.log"
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("refresh_dataset/birds-nightly")
        assert [plan.schedule.cron for plan in nightly.schedules if plan.active] == ["0 3 * * *"]
        assert nightly.job_variables["env"] == dict(ENVIRONMENT)

        started = run_deployment("refresh_dataset/birds-nightly", timeout=0, _sync=True)
        edition = started.expected_start_time.strftime("%Y-%m-%dT%H:%M:%SZ")
        with worker("data", server, data_log), worker("gpu", server, gpu_log):

            def refreshed() -> bool:
                state = client.read_flow_run(started.id).state
                assert not state.is_failed(), state.message
                return state.is_completed()

            def ended(title: str) -> Any:
                """The run of a deployment that an event has started, once it is over."""
                triggered = wait_for(f"a run of {title}", lambda: runs_of(client, title), gpu_log)[0]
                wait_for(
                    f"the end of {title}",
                    lambda: client.read_flow_run(triggered.id).state.is_final(),
                    gpu_log,
                )
                return client.read_flow_run(triggered.id)

            wait_for("the refresh's end", refreshed, data_log)
            # A retry keeps the expected start, so the edition: it finds everything, and announces nothing.
            client.set_flow_run_state(started.id, Scheduled(), force=True)
            trained, evaluated = ended(TRAINING), ended("evaluate_model/birds-on-train")
            wait_for(
                "the retry's end",
                lambda: client.read_flow_run(started.id).run_count == 2 and refreshed(),
                data_log,
            )
        for done in (trained, evaluated):
            assert done.state.is_completed(), done.state.message
        assert len(runs_of(client, TRAINING)) == 1
        assert sdflow("undeploy", "birds", "--yes")[0] == 0
        assert client.read_flow_run(trained.id).state.is_completed()  # the history stays

    store = open_store(str(tmp_path / "store"))
    dataset = resolve(store, "datasets/birds")
    assert trained.parameters["config"]["images"] == run.train.images  # the file's, not the defaults
    model = resolve(store, "models/birds")
    assert model.manifest.inputs["dataset"] == {
        "stage": "shard",
        "fingerprint": dataset.fingerprint,
        "digest": dataset.digest,
    }
    assert resolve(store, "evaluations/birds").manifest.inputs["model"]["fingerprint"] == model.fingerprint
    assert resolve(store, "images/birds").config["edition"] == edition
    assert len(references(store, "images/birds")) == 1


@pytest.mark.matrix
def test_plain_prefect_makes_what_prefect_yaml_lists(
    server: str, sdflow: Callable[..., tuple[int, str, str]], tmp_path: Path
):
    """The first commands of the file's own words."""
    from prefect.client.orchestration import get_client

    assert sdflow("setup", "--yes")[0] == 0
    listed = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        [*command, "--prefect-file", PROJECT / "prefect.yaml"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PREFECT_API_URL": server, "PYTHONPATH": str(PROJECT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        made = []
        try:
            for item in listed:
                flow = item["entrypoint"].partition(":")[2].rstrip("_")
                made.append(client.read_deployment_by_name(f"{flow}/{item['name']}"))
                assert made[-1].work_pool_name == item["work_pool"]["name"]
                assert made[-1].job_variables["env"] == dict(ENVIRONMENT)
                triggers = client.read_resource_related_automations(f"prefect.deployment.{made[-1].id}")
                wanting = [set(trigger["match"]) for trigger in item.get("triggers", ())]
                assert [set(automation.trigger.match.root) for automation in triggers] == wanting
                assert all("sdflow.store" in match for match in wanting)
        finally:
            for deployment in made:
                client.delete_resource_owned_automations(f"prefect.deployment.{deployment.id}")
                client.delete_deployment(deployment.id)
