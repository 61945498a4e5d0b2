"""Runs ended, or started again, on the server while they train: nothing of them is left, work is kept."""

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.run.lost_runs import ENVIRONMENT
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import open_store
from tests.flows.api import ask
from tests.flows.outage import wait_for
from tests.flows.processes import python_module
from tests.flows.training import plain, training_of, written

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.matrix, pytest.mark.timeout(1200)]

PROJECT = Path(__file__).parents[2]


def process(command: list[str], server: str, log: Path) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """A module of Python that works for a server."""
    environment = {**os.environ, "PREFECT_API_URL": server, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return python_module(command, log, environment)


def endless(run: Run) -> Run:
    return replace(run, train=replace(run.train, images=640_000, checkpoint_every=64))


def has_checkpoint(run: Run) -> bool:
    return any(True for _ in open_store(run.store).list("parts/train"))


def flow_run(server: str, name: str) -> dict[str, Any]:
    """The one run whose name begins so."""
    (chosen,) = ask(server, "flow_runs/filter", {"flow_runs": {"name": {"like_": name}}})
    return chosen


def state(server: str, flow_run_id: str) -> str:
    (chosen,) = ask(server, "flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    return chosen["state"]["name"]


def cancel(server: str, flow_run_id: str) -> None:
    command = [sys.executable, "-m", "prefect", "flow-run", "cancel", flow_run_id]
    subprocess.run(command, env={**os.environ, "PREFECT_API_URL": server}, check=True, capture_output=True)


def test_a_run_of_sdflow_run_is_cancelled_on_the_server(server: str, run: Run, tmp_path: Path):
    """No worker is there to end it: the process finds out by itself."""
    run, log = replace(endless(run), name="by-hand"), tmp_path / "log.txt"
    config = written(run, tmp_path / "run.yaml")
    with process(["flows.cli", "run", str(config)], server, log) as started:
        wait_for("a checkpoint", lambda: has_checkpoint(run) or started.poll() is not None)
        assert started.poll() is None, log.read_text()
        children = psutil.Process(started.pid).children(recursive=True)
        assert children
        chosen = flow_run(server, "by-hand %")
        cancel(server, chosen["id"])
        assert started.wait(300) == 1, log.read_text()
    words = log.read_text()
    assert "sdflow: this run was cancelled (state Cancelling)" in words
    assert "the same command continues it" in words
    assert "Traceback" not in words
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert state(server, chosen["id"]) == "Cancelled"


def scheduled(run: Run, pool: str) -> str:
    """The id of a flow run that waits for a worker, in a pool of its own that has one place."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.deployments import run_deployment

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=pool, type="process", concurrency_limit=1))
        client.create_deployment(
            client.create_flow_from_name("pipeline"),
            pool,
            entrypoint="flows.pipeline:pipeline",
            path=str(PROJECT),
            work_pool_name=pool,
            job_variables={"env": dict(ENVIRONMENT)},
            parameters={"run": plain(run)},
        )
        return str(run_deployment(f"pipeline/{pool}", timeout=0, _sync=True).id)


def test_a_run_of_a_worker_is_cancelled(server: str, run: Run, tmp_path: Path):
    """The worker is told, and ends the flow's process; the training's have sessions of their own."""
    run, log = replace(endless(run), name="by-worker"), tmp_path / "log.txt"
    chosen = scheduled(run, "cancelled")
    with process(["prefect", "worker", "start", "--pool", "cancelled"], server, log) as worker:
        wait_for("a checkpoint", lambda: has_checkpoint(run))
        children = psutil.Process(worker.pid).children(recursive=True)
        assert len(children) > 1
        cancel(server, chosen)
        wait_for("the run's end", lambda: state(server, chosen) == "Cancelled")
        _, alive = psutil.wait_procs(children, timeout=120)
        assert not [child for child in alive if "prefect.engine" in child.cmdline()], alive
        assert worker.poll() is None
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_leaves_no_run_that_looks_alive(
    server: str, run: Run, tmp_path: Path, sign: signal.Signals
):
    """It kills the flow's process. The run is called Crashed, its work is kept, its place free."""
    pool = f"stopped-{sign.name.lower()}"
    run, log = replace(endless(run), name=pool), tmp_path / "log.txt"
    chosen = scheduled(run, pool)
    command = ["prefect", "worker", "start", "--pool", pool]
    with process(command, server, log) as worker:
        wait_for("a checkpoint", lambda: has_checkpoint(run))
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(sign)
        worker.wait(120)
        wait_for("the run's end", lambda: state(server, chosen) == "Crashed")
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert has_checkpoint(run)
    retry = [sys.executable, "-m", "prefect", "flow-run", "retry", chosen]
    subprocess.run(retry, env={**os.environ, "PREFECT_API_URL": server}, check=True, capture_output=True)
    with process(command, server, tmp_path / "second.txt"):
        wait_for("the retry", lambda: state(server, chosen) == "Running")
        cancel(server, chosen)
        wait_for("the retry's end", lambda: state(server, chosen) == "Cancelled")


def test_a_run_called_lost_too_soon_gives_way_to_its_retry(server: str, run: Run, tmp_path: Path):
    """Two processes of one run: the first stops, and the second goes on from its checkpoints."""
    run = replace(training_of(run, 90.0), name="twice")
    config, first_log, second_log = (
        written(run, tmp_path / "run.yaml"),
        tmp_path / "1.txt",
        tmp_path / "2.txt",
    )
    with process(["flows.cli", "run", str(config)], server, first_log) as first:
        wait_for("a checkpoint", lambda: has_checkpoint(run) or first.poll() is not None)
        assert first.poll() is None, first_log.read_text()
        chosen = flow_run(server, "twice %")["id"]
        lost = {
            "state": {"type": "CRASHED", "name": "Crashed", "message": "its heartbeat was lost"},
            "force": True,
        }
        ask(server, f"flow_runs/{chosen}/set_state", lost)
        retry = ["prefect", "flow-run", "retry", chosen, "--entrypoint", "flows.pipeline:pipeline"]
        with process(retry, server, second_log) as second:
            assert first.wait(300) == 1, first_log.read_text()
            assert second.wait(600) == 0, second_log.read_text()
    words = first_log.read_text()
    assert "by somebody else: its heartbeat was lost" in words or "started again elsewhere" in words
    assert state(server, chosen) == "Completed"
    model = resolve(open_store(run.store), "models/twice")
    assert model.manifest.statistics["resumed_at"] > 0
