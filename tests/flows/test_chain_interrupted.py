"""A chain on a real server: in each link worker and flow process are killed, and it is retried alone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.events.schemas.automations import AutomationCore

from flows.chain import links, plain
from flows.events import ENCODED, REFRESHED, TRAINED, emit
from flows.run.lost_runs import lost_runs
from flows.step import Result, RunContext
from stages.artifacts.reference import references, resolve
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.store import open_store
from tests.flows.processes import background
from tests.frozen import autoencoder

pytestmark = [pytest.mark.prefect, pytest.mark.matrix, pytest.mark.timeout(1800)]

HALTING = Path(__file__).parent / "halting"
LINKS = [
    ("refresh_dataset", "collect"),
    ("encode", "encode"),
    ("train_model", "train"),
    ("evaluate_model", "evaluate"),
]
"""Flow, and its stage that is interrupted."""
WITHIN = timedelta(seconds=60)
"""Without a heartbeat, after which a run is Crashed here: shorter than people's, to wait less."""


class Workers:
    """A worker for each pool, started and killed; all are gone in the end, however that comes."""

    def __init__(self, server: str, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HALTING), os.environ.get("PYTHONPATH", "")]),
            "HALTING": str(folder),
            "PREFECT_API_URL": server,
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        self._running: dict[str, tuple[psutil.Process, ExitStack]] = {}
        self._logs: list[Path] = []

    def start(self, pool: str) -> None:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
        self._logs.append(self.folder / f"{len(self._logs)}-{pool}.log")
        ending = ExitStack()
        process = ending.enter_context(background(command, self._logs[-1], env=self._environment))
        self._running[pool] = psutil.Process(process.pid), ending

    def kill(self, pool: str) -> None:
        """The worker first, so that it reports nothing of its flow's process."""
        worker, ending = self._running.pop(pool)
        with ending:
            processes = [
                worker,
                *(child for child in worker.children(recursive=True) if child.name() != "sh"),
            ]
            for process in processes:
                process.kill()

    def kill_all(self) -> None:
        for pool in list(self._running):
            self.kill(pool)

    def halt_in(self, stage: str) -> None:
        """Let the next process that works on a stage halt in the middle of it; none where empty."""
        for name in ("halted", "stage"):
            (self.folder / name).unlink(missing_ok=True)
        if stage:
            aside = self.folder / "aside"
            aside.write_text(stage)
            aside.rename(self.folder / "stage")

    def wait_for(self, what: str, condition: Callable[[], Any]) -> Any:
        """What a condition gives once it is something."""
        until = time.monotonic() + 400
        while time.monotonic() < until:
            if (value := condition()) is not None and value is not False:
                return value
            time.sleep(0.5)
        logs = "\n".join(log.read_text()[-3000:] for log in self._logs[-2:])
        raise AssertionError(f"{what} did not come; the workers wrote:\n{logs}")


@pytest.fixture
def workers(server: str, tmp_path: Path) -> Iterator[Workers]:
    folder = tmp_path / "workers"
    folder.mkdir()
    workers = Workers(server, folder)
    try:
        yield workers
    finally:
        workers.kill_all()


@pytest.fixture
def lost_limit(server: str) -> Iterator[None]:
    """The automation for lost runs, with a shorter limit."""
    values = lost_runs().model_dump(exclude={"id", "name"})
    values["trigger"]["within"] = WITHIN
    automation = AutomationCore(name="chain: lost runs", **values)
    with get_client(sync_client=True) as client:
        identity = client.create_automation(automation)
        yield
        client.delete_automation(identity)


@pytest.fixture
def chain(run: Run, tmp_path: Path) -> Run:
    """A run of several parts in every link, which trains on latents."""
    return replace(
        run,
        name="chain",
        encode=EncodeConfig(autoencoder=str(autoencoder(tmp_path / "vae")), size=8),
        train=replace(run.train, images=96),
        evaluate=replace(run.evaluate, part_rows=1),
    )


def test_each_link_is_killed_once_and_retried_alone(
    server: str, sdflow: Callable[..., tuple[int, str, str]], chain: Run, workers: Workers, lost_limit: None
):
    config = workers.folder / "chain.yaml"
    config.write_text(yaml.safe_dump(plain(chain)))
    assert sdflow("setup", "--yes")[0] == 0
    status, _, error = sdflow("deploy", config, "--train", "--yes")
    assert status == 0, error
    deployed = {link.flow: f"{link.flow}/chain-{link.suffix}" for link in links(chain)}

    with get_client(sync_client=True) as client:
        for pool in ("data", "gpu"):
            workers.start(pool)
        foreign_events(chain)
        workers.halt_in("collect")
        refresh = run_deployment(deployed["refresh_dataset"], timeout=0, _sync=True)
        for (flow, stage), following in zip(LINKS, [*LINKS[1:], None], strict=True):
            pool = "data" if flow == "refresh_dataset" else "gpu"
            workers.wait_for(f"{stage}'s second part", (workers.folder / "halted").exists)
            (interrupted,) = runs_of(client, deployed[flow])
            workers.kill(pool)
            assert parts(chain, stage) == 1
            workers.halt_in(following[1] if following else "")
            workers.start(pool)
            state = workers.wait_for(f"{flow}'s end", lambda run=interrupted: final_state(client, run.id))
            assert state.is_crashed(), state
            assert not following or not runs_of(client, deployed[following[0]])
            retry(server, interrupted.id)
        workers.wait_for("the evaluation", lambda: final_state(client, interrupted.id))

        runs = {flow: runs_of(client, name) for flow, name in deployed.items()}
        ends = {flow: [(run.state_name, run.run_count) for run in each] for flow, each in runs.items()}
        assert ends == {**{flow: [("Completed", 2)] for flow, _ in LINKS}, "pipeline": []}
        cause = f"refresh_dataset chain {refresh.expected_start_time:%Y-%m-%dT%H:%M} datasets/chain@1"
        for flow, _ in LINKS[1:]:
            (run,) = runs[flow]
            assert run.parameters["cause"] == cause
            assert any(cause in line for line in log_of(client, run.id)), flow

    assert sdflow("undeploy", "chain", "--yes")[0] == 0

    # What had been finished was found again; nothing else was made twice.
    store = open_store(chain.store)
    names = ("images/chain", "datasets/chain", "models/chain", "evaluations/chain")
    assert [len(references(store, name)) for name in names] == [1, 1, 1, 1]
    images, dataset, model, evaluation = (resolve(store, name) for name in names)
    latents = model.input("latents")
    assert {a.stage: a.statistics["parts"]["found"] for a in (images, latents, evaluation)} == {
        "collect": 1,
        "encode": 1,
        "evaluate": 1,
    }
    assert model.statistics["resumed_at"] == 32
    assert evaluation.input("model").digest == model.digest
    assert {evaluation.input("dataset").digest, model.input("dataset").digest} == {dataset.digest}


def foreign_events(run: Run) -> None:
    """What other projects of the server say: the same name in another store, another name in the same."""
    result = Result("/elsewhere", "shard", "0" * 64, "1" * 64)
    for store, name in (("/elsewhere", run.name), (run.store, "other")):
        context = RunContext(store, name)
        emit(REFRESHED, context, f"datasets/{name}", result, dataset="datasets/a@1", cause="another's")
        emit(ENCODED, context, f"datasets/{name}", result, dataset="datasets/a@1", latents="x", cause="")
        emit(TRAINED, context, f"models/{name}", result, model="models/a@1", cause="another's")


def runs_of(client: SyncPrefectClient, deployment: str) -> list[FlowRun]:
    flow, _, name = deployment.partition("/")
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])),
    )
    return [run for run in runs if not run.auto_scheduled]


def final_state(client: SyncPrefectClient, run: UUID) -> State | None:
    state = client.read_flow_run(run).state
    return state if state is not None and state.is_final() else None


def retry(server: str, run: UUID) -> None:
    command = [sys.executable, "-m", "prefect", "flow-run", "retry", str(run)]
    subprocess.run(command, env={**os.environ, "PREFECT_API_URL": server}, check=True, timeout=300)


def log_of(client: SyncPrefectClient, run: UUID) -> list[str]:
    logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
    return [log.message for log in logs]


def parts(run: Run, stage: str) -> int:
    return len(list(open_store(run.store).list(f"parts/{stage}")))
