"""docs/operations.md, followed: its shell blocks, in order, from an empty home to the last command."""

import os
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from flows.chain import plain
from stages.artifacts.reference import references
from stages.config.run import Run
from stages.store import open_store
from tests.flows.processes import background, free_port

pytestmark = [pytest.mark.prefect, pytest.mark.matrix]

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "operations.md"
HALVED = "for name in pictures/0[0-2]*.png; do cp pictures/dot.png $name; done"

BETWEEN = {
    # Before a block that has the words: what happens in the world meanwhile.
    "sdflow approve": f"{HALVED}; prefect deployment run refresh_dataset/birds-nightly --watch",
}
AFTER = {
    # After it: what a reader would wait for.
    "prefect server start": "until curl --silent --fail {url}/health; do sleep 1; done",
    "deployment run": "until sdflow show evaluations/birds > report 2>&1; do sleep 2; done",
}


def blocks(language: str) -> list[str]:
    """The page's fenced blocks in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, run: Run, pictures: Path) -> Path:
    """A folder with birds.yaml as the page has it, on small pictures, with a tiny model."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(pictures, folder / "pictures")
    tiny = plain(replace(run, name="birds"))
    (page,) = map(yaml.safe_load, blocks("yaml"))
    (folder / "birds.yaml").write_text(yaml.safe_dump({**tiny, **page}))
    return folder


def script(url: str) -> str:
    """The page's commands as one script, on a port that is free, with the world's part between them."""
    parts: list[str] = []
    for block in blocks("bash"):
        parts += [command for words, command in BETWEEN.items() if words in block]
        parts.append(block)
        parts += [command.format(url=url) for words, command in AFTER.items() if words in block]
    return "\n".join(parts).replace("4200", url.split(":")[2].removesuffix("/api"))


def test_no_command_of_the_page_leaves_this_machine():
    commands = "\n".join(line.split("#")[0] for block in blocks("bash") for line in block.splitlines())
    hosts = set(re.findall(r"^(?!export SDFLOW_DASHBOARD_URL=).*?\w+://([\w.-]+)", commands, re.MULTILINE))
    assert hosts == {"127.0.0.1"}, "the dashboard's address is for links alone"


@pytest.mark.timeout(1500)
def test_who_follows_the_page_has_a_nightly_refresh_that_is_watched(project: Path, tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**inherited, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(PROJECT)}
    environment |= {"PREFECT_SERVER_API_PORT": str(port), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    log, status = tmp_path / "log", tmp_path / "status"
    trapped = f"trap 'echo $? > {status}' EXIT\n{script(url)}"
    command = ["bash", "-euxo", "pipefail", "-c", trapped]
    with background(command, log, cwd=project, env=environment):
        until = time.monotonic() + 1400  # a last guard
        while not status.exists() and time.monotonic() < until:
            time.sleep(1)
        assert status.is_file(), log.read_text()[-5000:]
        assert status.read_text() == "0\n", log.read_text()[-5000:]
    versions = references(open_store(str(project / "store")), "datasets/birds")
    assert [bool(version.on_hold) for version in versions] == [False, True]
    assert "announced on Prefect's server" in log.read_text()
