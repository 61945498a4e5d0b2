"""kill -9 at random moments, everything at once, then the same command: the results are the undisturbed ones.

benchmarks/kill.py does this to the smoke preset, with Prefect, more often.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stages.artifacts.activity import leases_in_use
from stages.store import open_store
from tests.conftest import Line

pytestmark = [pytest.mark.slow, pytest.mark.matrix]

PARTS = {"collect": 2, "score": 2, "train": 3, "evaluate": 0}
"""Where the kills fall, and parts that the stage may have recorded by then, at most; it makes more. The other
stages take moments."""


def has_come_to(store: Path, stage: str, parts: int) -> bool:
    """Whether somebody works on a stage and has recorded so many parts of it, or is done with it."""
    leased = any(store.glob(f"leases/{stage}/*/*.json"))
    recorded = sum(1 for _ in store.glob(f"parts/{stage}/**/*.json"))
    return (leased and recorded >= parts) or any(store.glob(f"manifests/{stage}/*.json"))


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


def disturb(line: Line, store: Path, log: Path, stage: str, parts: int, delay: float) -> bool:
    """Run, and kill everything `delay` seconds after some parts of a stage. False: it had ended before."""
    with log.open("ab") as errors:
        process = subprocess.Popen(line.command(store), stdout=subprocess.DEVNULL, stderr=errors)
    while process.poll() is None and not has_come_to(store, stage, parts):
        time.sleep(0.02)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    family = kill(process)
    assert psutil.wait_procs(family, timeout=300)[1] == []
    return True


def test_killed_at_random_moments_the_results_are_the_same(line: Line, tmp_path: Path):
    undisturbed, rng = line.artifacts(), random.Random(0)
    store, log = tmp_path / "store", tmp_path / "log"
    kills = [
        stage
        for stage, most in PARTS.items()
        if disturb(line, store, log, stage, rng.randint(0, most), rng.uniform(0, 0.3))
    ]
    assert kills == list(PARTS), log.read_text()

    done = subprocess.run(line.command(store), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = line.artifacts(store)
    assert {stage: artifact.digest for stage, artifact in found.items()} == {
        stage: artifact.digest for stage, artifact in undisturbed.items()
    }
    opened = open_store(str(store))
    assert len(list(opened.list("manifests"))) == len(found)  # one of each stage, and none half
    assert [complaint for artifact in found.values() for complaint in artifact.verify()] == []
    assert leases_in_use(opened) == []
    assert list(opened.list("parts/train")) == []
