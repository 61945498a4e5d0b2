"""What Prefect shows of a stage at work, and what its run's log keeps."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.report.progress import EVERY, TaskReporter
from stages.config.run import Run
from stages.reporter import Wait
from tests.flows.api import ask

pytestmark = pytest.mark.prefect


def artifact(server: str) -> tuple[float, str]:
    (shown,) = ask(server, "artifacts/filter", {"artifacts": {"key": {"any_": ["a-b-collect-progress"]}}})
    return shown["data"], shown["description"]


def logs(server: str, flow_run: Any) -> list[str]:
    question = {"logs": {"flow_run_id": {"any_": [str(flow_run)]}}, "sort": "TIMESTAMP_ASC"}
    return [line["message"] for line in ask(server, "logs/filter", question)]


def test_a_progress_artifact_is_sent_seldom_and_what_ends_it_stands(server: str):
    from prefect import flow

    shown: list[tuple[float, str]] = []
    clock = [100.0]

    @flow
    def watched() -> None:
        reporter = TaskReporter("a/b", "collect", "collect", lambda: clock[0])
        for done, seconds in ((0, 0.0), (10, EVERY - 0.1), (20, 0.2), (30, 1.0)):
            clock[0] += seconds
            reporter.progress("collect", done, 40, "a *note*")
            shown.append(artifact(server))
        reporter.finished("a/b, collect: 37 of 40 rows.")
        clock[0] += 2 * EVERY
        reporter.progress("collect", 31, 40, "late")
        shown.append(artifact(server))

    watched()
    first, later = (
        "a/b, collect: 0 of 40; a \\*note\\*",
        "a/b, collect: 20 of 40; a \\*note\\*",
    )
    assert shown == [(0, first), (0, first), (50, later), (50, later), (100, "a/b, collect: 37 of 40 rows.")]


def test_a_wait_is_in_the_log_once_it_has_lasted(server: str):
    from prefect import flow
    from prefect.logging.handlers import APILogWorker

    clock = [0.0]
    short, long = Wait("a.example", "03:12:40 UTC", "it asked us to wait"), Wait("b.example", "03:30:00 UTC")

    @flow
    def waiting() -> Any:
        from prefect.runtime import flow_run

        reporter = TaskReporter("ab", "collect", "collect", lambda: clock[0])
        for wait, seconds in ((short, 0), (short, EVERY - 1), (long, 1), (long, EVERY), (long, EVERY)):
            clock[0] += seconds
            reporter.waiting("collect", wait)
        return flow_run.id

    flow_run = waiting()
    APILogWorker.drain_all(timeout=60)
    assert [line for line in logs(server, flow_run) if "waiting for" in line] == [f"collect: {long}"]


@pytest.mark.slow
def test_a_workers_process_logs_its_stage_and_ends_without_a_word(server: str, run: Run, tmp_path: Path):
    """As a worker starts it: DuckDB's binding finds nothing alive when the interpreter ends."""
    from prefect.client.orchestration import get_client

    from flows.stage_flows import collect

    parameters = {"config": run.collect, "name": "birds", "store": run.store}
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(collect, parameters=collect.serialize_parameters(parameters))
    done = subprocess.run(
        [sys.executable, "-m", "prefect.engine", str(flow_run.id)],
        env={
            **os.environ,
            "PREFECT_API_URL": server,
            "PREFECT__FLOW_ENTRYPOINT": "flows.stage_flows.collect",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "nanobind" not in done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        ended = client.read_flow_run(flow_run.id)
    assert (ended.name, ended.state_name) == ("birds", "Completed")
    (line,) = [line for line in logs(server, flow_run.id) if line.startswith("collect: ")]
    assert line.startswith("collect: 41 of 43 rows, left out 1 not_an_image, 1 too_small; ")
