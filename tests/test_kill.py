"""kill -9 at random moments, everything at once, then the same command: the results are the undisturbed ones.

benchmarks/kill.py does this to the smoke preset, with Prefect, more often.
"""

import os
import random
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from stages.artifact import Artifact
from stages.lease import held
from stages.store import open_store
from tests.conftest import Line

pytestmark = pytest.mark.slow

KILLED = ("collect", "score", "train", "evaluate")
"""Where the kills fall; the other stages take moments."""


def seconds(artifact: Artifact) -> float:
    """How long it took to make."""
    began, ended = (datetime.fromisoformat(t) for t in (artifact.manifest.started, artifact.manifest.ended))
    return (ended - began).total_seconds()


def begun(store: Path, stage: str) -> bool:
    """Whether somebody works, or has worked, on a stage."""
    return any(store.glob(f"leases/{stage}/*/*.json")) or any(store.glob(f"manifests/{stage}/*.json"))


def kill(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """SIGKILL a process, stopped first, so that it starts nothing meanwhile, and all that it started."""
    parent = psutil.Process(process.pid)
    parent.suspend()
    family = [parent, *parent.children(recursive=True)]
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    return family


def disturb(line: Line, store: Path, log: Path, stage: str, delay: float) -> bool:
    """Run, and kill everything `delay` seconds into a stage. False: it had ended before."""
    with log.open("ab") as errors:
        process = subprocess.Popen(line.command(store), stdout=subprocess.DEVNULL, stderr=errors)
    while process.poll() is None and not begun(store, stage):
        time.sleep(0.02)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    family = kill(process)
    assert psutil.wait_procs(family, timeout=30)[1] == []
    return True


def test_killed_at_random_moments_the_results_are_the_same(line: Line, tmp_path: Path):
    undisturbed, rng = line.artifacts(), random.Random(0)
    store, log = tmp_path / "store", tmp_path / "log"
    kills = [
        stage
        for stage in KILLED
        if disturb(line, store, log, stage, rng.uniform(0, 0.8 * seconds(undisturbed[stage])))
    ]
    assert len(kills) >= 3, log.read_text()

    done = subprocess.run(line.command(store), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = line.artifacts(store)
    assert {stage: artifact.digest for stage, artifact in found.items()} == {
        stage: artifact.digest for stage, artifact in undisturbed.items()
    }
    opened = open_store(str(store))
    assert len(list(opened.list("manifests"))) == len(found)  # one of each stage, and none half
    assert [complaint for artifact in found.values() for complaint in artifact.verify()] == []
    assert held(opened) == []
    assert list(opened.list("parts/train")) == []
