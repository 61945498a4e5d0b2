"""`sdflow run`: through Prefect, with failures in one line, and nothing left behind when it is ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.cli import main
from stages.artifacts.reference import resolve
from stages.config.run import Run
from stages.store import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def written(run: Run, path: Path) -> Path:
    """The run as a YAML file."""
    path.write_text(yaml.safe_dump(yaml.safe_load(yaml.dump(_plain(asdict(run))))))
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def test_a_failing_step_is_told_in_words(
    server: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    # Nothing passes this filter, so shard fails: dedup and score have been done all the same.
    config = written(replace(run, filter=replace(run.filter, min_words=50)), tmp_path / "run.yaml")
    with pytest.raises(SystemExit) as end:
        main(["run", str(config)])
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert "sdflow: shard failed: the selection is empty" in told
    assert "the same command continues it" in told
    assert "Traceback" not in told


def test_setup_says_how_to_name_a_server(server: str, capsys: pytest.CaptureFixture[str]):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(SystemExit):
        main(["setup"])
    assert "PREFECT_API_URL is not set; start a server" in capsys.readouterr().err


def test_an_ended_run_leaves_no_process_and_the_next_one_continues(
    server: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    endless = replace(run, train=replace(run.train, images=64_000, checkpoint_every=64))
    config = written(endless, tmp_path / "run.yaml")
    store = open_store(run.store)
    for sign, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        log = tmp_path / f"{sign.name}.txt"
        told = end_while_training(config, server, log, sign, status)
        assert "Traceback" not in told
        assert [one.key for one in store.list("parts/train")]  # checkpoints, for the next run
    assert "shard  40 of 40 rows, cached" in told

    main(["run", str(config), "--set", "train.images=64", "--set", "train.checkpoint_every=32"])
    table = capsys.readouterr().err.split("stage ", 1)[1]
    rows = {line.split()[0]: line for line in table.splitlines() if line[:1].isalpha()}
    made = [stage for stage in rows if " made " in rows[stage]]
    assert made == ["train", "evaluate"]
    assert [stage for stage in rows if " cached " in rows[stage]] == [
        "collect",
        "dedup",
        "score",
        "filter",
        "shard",
    ]
    assert "too_small" in table
    assert resolve(store, "evaluations/tiny")


def end_while_training(config: Path, server: str, log: Path, sign: signal.Signals, status: int) -> str:
    """Start a run, end it by a signal while it trains; what it said. Ctrl-C reaches the whole group."""
    command = [sys.executable, "-m", "flows.cli", "run", str(config)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env={**os.environ, "PREFECT_API_URL": server}, stderr=output, start_new_session=True
        )
    try:
        until = time.monotonic() + 240
        while "loss" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        os.killpg(process.pid, sign) if sign == signal.SIGINT else process.send_signal(sign)
        assert process.wait(300) == status, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=300)
    assert not alive
    return log.read_text()
