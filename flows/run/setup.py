"""Make a Prefect server ready: work pools with limits, the automation for lost runs, the deployments."""

import os
import subprocess
import sys
from pathlib import Path

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from flows.run.access import check_server
from flows.run.lost_runs import LIMIT, LOST, lost_runs

POOLS: dict[str, int | None] = {"data": None, "gpu": 1}
"""Work pool -> flow runs at once; None sets no limit. One training at a time has the GPU."""


def prepare() -> list[str]:
    """Create or update pools and automation on the server of PREFECT_API_URL; what was done.

    Raises:
        ValueError, ConnectionError: no server is named, it is away, or it does not let us in.
    """
    check_server()
    messages: list[str] = []
    with get_client(sync_client=True) as client:
        for name, limit in POOLS.items():
            limited = f", {limit} at a time" if limit else ""
            try:
                client.read_work_pool(name)
            except ObjectNotFound:
                client.create_work_pool(WorkPoolCreate(name=name, type="process", concurrency_limit=limit))
                messages.append(f"created work pool {name}{limited}")
            else:
                client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))
                messages.append(f"work pool {name} is there{limited}")
    automation = lost_runs()
    for old in _automations(LOST):
        old.delete(_sync=True)  # pyright: ignore[reportCallIssue]
    automation.create(_sync=True)  # pyright: ignore[reportCallIssue]
    messages.append(
        f"automation: a run without a heartbeat for {LIMIT.total_seconds() / 60:.0f} minutes "
        "becomes Crashed, and can be retried"
    )
    return messages


def deploy_all(file: Path) -> list[str]:
    """Make every deployment of a prefect.yaml; what Prefect said of each.

    Raises:
        ValueError: there is no such file. RuntimeError: Prefect refused; ends with its words.
    """
    if not file.is_file():
        raise ValueError(f"{file} is not there; run this in the project's folder, or name it with --file")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    if done.returncode:
        raise RuntimeError(f"prefect deploy failed:\n{(done.stdout + done.stderr)[-3000:].strip()}")
    return [line.strip("│ \t") for line in done.stdout.splitlines() if "successfully created" in line]


def _automations(name: str) -> list[Automation]:
    with get_client(sync_client=True) as client:
        response = client.request(
            "POST", "/automations/filter", json={"automations": {"name": {"any_": [name]}}}
        )
        response.raise_for_status()
    return [Automation.model_validate(record) for record in response.json()]
