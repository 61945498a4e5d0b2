"""A server that is killed for 150 s under a worker whose run trains: the run is never called Crashed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.run.lost_runs import ENVIRONMENT, lost_runs
from stages.artifacts.reference import references, resolve
from stages.config.run import Run
from stages.store import open_store
from tests.flows.outage import wait_for
from tests.flows.processes import free_port, python_module
from tests.flows.training import plain, training_of

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.matrix, pytest.mark.timeout(1500)]

PROJECT = Path(__file__).parents[2]
OUTAGE = 150.0
"""Seconds without a server."""
TRAINING = 360.0
"""Seconds that a training takes at the speed of the moment: well over the outage, should it become faster."""


@contextmanager
def serving(port: int, log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Prefect's server, once it answers; always on the same database."""
    with python_module(
        ["prefect", "server", "start", "--no-ui", "--port", str(port)], log, environment
    ) as started:

        def answers() -> bool:
            assert started.poll() is None, log.read_text()[-3000:]
            try:
                return httpx.get(f"http://127.0.0.1:{port}/api/health").status_code == 200
            except httpx.TransportError:
                return False

        wait_for("the server", answers)
        yield started


def test_a_run_trains_on_while_the_server_is_away_and_ends_well(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings

    run = training_of(run, TRAINING)
    port = free_port()
    url, home = f"http://127.0.0.1:{port}/api", tmp_path / "prefect"
    for name, value in (("PREFECT_HOME", str(home)), ("PREFECT_API_URL", url), ("DO_NOT_TRACK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    environment = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    server_log, worker_log = tmp_path / "server.log", tmp_path / "worker.log"
    settings = temporary_settings(
        {PREFECT_API_URL: url, PREFECT_HOME: home}, restore_defaults={PREFECT_API_AUTH_STRING}
    )
    work = ["prefect", "worker", "start", "--pool", "gpu"]
    with (
        settings,
        serving(port, server_log, environment) as server,
        get_client(sync_client=True) as client,
    ):
        client.create_work_pool(WorkPoolCreate(name="gpu", type="process"))
        lost_runs().create(_sync=True)
        client.create_deployment(
            client.create_flow_from_name("pipeline"),
            "outage",
            entrypoint="flows.pipeline:pipeline",
            path=str(PROJECT),
            work_pool_name="gpu",
            job_variables={"env": dict(ENVIRONMENT)},
            parameters={"run": plain(run)},
        )
        started = run_deployment("pipeline/outage", timeout=0, _sync=True)
        with python_module(work, worker_log, environment) as worker:

            def trains() -> bool:
                assert not client.read_flow_run(started.id).state.is_final(), worker_log.read_text()[-3000:]
                keys = httpx.post(f"{url}/artifacts/filter", json={}).json()
                return any(found["key"] == "tiny-train-progress" for found in keys)

            wait_for("the training", trains)
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            killed = datetime.now(UTC)
            time.sleep(OUTAGE)
            assert not references(open_store(run.store), "models/tiny"), "the training was over too soon"
            with serving(port, server_log, environment):
                back = datetime.now(UTC)
                wait_for("the run's end", lambda: client.read_flow_run(started.id).state.is_final(), 1000)
                ended = client.read_flow_run(started.id)
                assert worker.poll() is None
                check_what_arrived(client, url, ended, killed, back)
    model = resolve(open_store(run.store), "models/tiny")
    assert model.manifest.statistics["resumed_at"] == 0


def check_what_arrived(client: Any, url: str, ended: Any, killed: datetime, back: datetime) -> None:
    """States, logs and heartbeats of a run that was under way while there was no server."""
    assert ended.state.is_completed(), ended.state
    assert ended.run_count == 1
    states = [state.name for state in client.read_flow_run_states(ended.id)]
    assert "Crashed" not in states, states
    question = {"logs": {"flow_run_id": {"any_": [str(ended.id)]}}}

    def lines() -> list[str]:
        return [line["message"] for line in httpx.post(f"{url}/logs/filter", json=question).json()]

    wait_for(
        "the log's end", lambda: any(line.startswith("Finished in state Completed()") for line in lines())
    )
    # Prefect's log is best effort: what was logged meanwhile may be lost, or what a busy database refuses.
    assert len([line for line in lines() if line.startswith("Beginning flow run")]) <= 1
    since = {"since": killed.isoformat(), "until": back.isoformat()}
    heartbeats = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}, "occurred": since}}
    wait_for(
        "heartbeats of the time between",
        lambda: len(httpx.post(f"{url}/events/filter", json=heartbeats).json()["events"]) >= 3,
    )
