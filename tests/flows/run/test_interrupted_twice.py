"""Ctrl-C twice, as impatient people do it: the process ends, says one line, and the same command goes on."""

import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from stages.artifacts.artifact import artifacts
from stages.artifacts.gc import collect_garbage
from stages.store import open_store
from tests.stages.collect.conftest import Web, body, picture, web
from tests.stages.collect.test_collect import table

__all__ = ["web"]


@pytest.mark.slow  # starts two processes that import everything
def test_a_second_interrupt_ends_it_and_nothing_is_lost(web: Web, tmp_path: Path) -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        answered.wait(300)
        body(picture(2))(handler)

    web.answers = {"/quick": body(picture(1)), "/slow": slow}
    rows = table(tmp_path / "t.csv", [(web.url(path), "words") for path in web.answers])
    source = {"name": "web", "tables": [str(rows)], "allow_networks": ["127.0.0.0/8"]}
    fast = {"connections": 0, "per_second": 0, "workers": 1, "deadline": 5, "retries": 0}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "twice", "collect": {"urls": [source], **fast}}))
    main = "import sys; from flows.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "stage", "collect", str(config), "--json"]
    command += ["--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asked.wait(300)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    answered.set()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "sdflow: " in told.splitlines()[-1]
    store = open_store(str(tmp_path / "store"))
    assert list(artifacts(store)) == []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["funnel"]["rows_out"] == 2
    collect_garbage(store)
    assert [one.verify() for one in artifacts(store)] == [[]]
