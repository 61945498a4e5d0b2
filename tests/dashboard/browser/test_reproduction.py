"""The command that a result's page gives: copied, and run elsewhere, it makes the same result."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.artifacts.artifact import Artifact
from tests.conftest import Line
from tests.dashboard.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.matrix, pytest.mark.slow]
MAIN = "import sys; from flows.cli import main; sys.exit(main())"


def test_the_command_of_a_page_gives_the_same_fingerprint_elsewhere(
    visitor: Visitor, line: Line, artifacts: Mapping[str, Artifact], tmp_path: Path
):
    """In another folder, on a store that is empty; the line's site answers again."""
    assert line.server
    dataset = artifacts["shard"]
    visitor.open(f"/artifacts/shard/{dataset.fingerprint}")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Save shard-").click()
    download.value.save_as(tmp_path / download.value.suggested_filename)
    command = shlex.split(visitor.page.locator("pre.command").inner_text())
    assert command[0] == "sdflow"
    environment = {name: value for name, value in os.environ.items() if name != "SDFLOW_STORE"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *command[1:], "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["fingerprint"] == dataset.fingerprint
    assert (tmp_path / "store/manifests/shard" / f"{dataset.fingerprint}.json").exists()
