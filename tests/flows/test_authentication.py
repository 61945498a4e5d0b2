"""A server with a password, as its users have it: setup, a deployed run, its worker and events."""

import base64
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
import pytest

from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import open_store
from tests.flows.processes import background, free_port
from tests.flows.run.test_execute import written

pytestmark = [pytest.mark.prefect, pytest.mark.matrix]

PREFECT = (sys.executable, "-m", "prefect")
SDFLOW = (sys.executable, "-m", "flows.cli")


@dataclass(frozen=True)
class Guarded:
    """A server that asks for a password."""

    url: str
    """Of its API."""
    password: str
    """What it asks for, NAME:PASSWORD."""
    environment: dict[str, str]
    """Of whoever may use it."""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """`prefect server start` with a password in the environment; its home and its log lie in tmp_path."""
    port, password = free_port(), f"team:{secrets.token_hex(16)}"
    url = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT_HOME": str(tmp_path / "home"), "DO_NOT_TRACK": "1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    common = {**inherited, **own, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = (*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port))
    log = tmp_path / "server.log"
    with background(command, log, env={**common, "PREFECT_SERVER_API_AUTH_STRING": password}) as process:
        wait_for(lambda: answers(url, process), log)
        yield Guarded(url, password, {**common, "PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password})


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "the server has ended"
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    """Last guard: five minutes."""
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until, log.read_text()[-3000:]
        time.sleep(1)


class Arguments:
    """Looks for words among the arguments of all processes of this machine, while the block runs."""

    def __init__(self, *words: str) -> None:
        self.seen: set[str] = set()
        self._words, self._ended, self._thread = words, Event(), Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Arguments":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or ())
                if any(word in line for word in self._words):
                    self.seen.add(line)


def files_with(folder: Path, *words: str) -> list[str]:
    """Names of all files below a folder that hold one of the words: databases, logs, stores."""
    forms = [word.encode() for word in words]
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in paths)
    return [str(path) for path in paths if any(form in path.read_bytes() for form in forms)]


@pytest.mark.timeout(1800)
def test_a_chain_runs_with_the_password_and_leaves_no_trace_of_it(guarded: Guarded, run: Run, tmp_path: Path):
    config = written(run, tmp_path / "birds.yaml")
    password = guarded.password.partition(":")[2]
    token = base64.b64encode(guarded.password.encode()).decode()

    def command(*words: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**guarded.environment, **variables}
        return subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)

    with Arguments(password, token) as arguments, Arguments("worker start") as control:
        for words in (("setup", "--yes"), ("deploy", str(config), "--yes"), ("run", str(config))):
            for guess in ("", "team:guess"):
                refused = command(*SDFLOW, *words, PREFECT_API_AUTH_STRING=guess)
                assert refused.returncode == 2, refused.stderr
                assert "asks for a password" in refused.stderr.splitlines()[-1]
                assert not any(trace in refused.stderr for trace in ("Traceback", "guess"))

        for words in (("setup", "--yes"), ("deploy", str(config), "--train", "--yes")):
            done = command(*SDFLOW, *words)
            assert done.returncode == 0, done.stderr
            assert password not in done.stdout + done.stderr
        logs = {pool: tmp_path / f"{pool}.log" for pool in ("data", "gpu")}
        workers = [(*PREFECT, "worker", "start", "--pool", pool, "--name", pool) for pool in logs]
        environment = {**guarded.environment, "PREFECT_WORKER_QUERY_SECONDS": "2"}
        with (
            background(workers[0], logs["data"], env=environment, cwd=tmp_path),
            background(workers[1], logs["gpu"], env=environment, cwd=tmp_path),
        ):
            started = command(*PREFECT, "deployment", "run", f"refresh_dataset/{run.name}-nightly", "--watch")
            assert started.returncode == 0, started.stdout + started.stderr + logs["data"].read_text()
            wait_for(lambda: is_evaluated(run), logs["gpu"])
    assert control.seen
    assert not arguments.seen
    assert files_with(tmp_path, "dataset.refreshed")
    assert not files_with(tmp_path, password, token)


def is_evaluated(run: Run) -> bool:
    """Whether the last link of the chain has left its report, which only an event can have started."""
    try:
        return bool(resolve(open_store(run.store), f"evaluations/{run.name}"))
    except ValueError:
        return False
