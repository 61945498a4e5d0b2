"""A training at work in a process of its own, as another machine would do it."""

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from stages.artifacts.artifact import Artifact
from stages.artifacts.status import running
from stages.store import Store

TRAIN = """
import dataclasses, sys
from stages.artifacts import status_writer
from stages.artifacts.artifact import Artifact
from stages.store import open_store
from stages.train.train import train
from tests.stages import worlds

if __name__ == "__main__":
    status_writer.EVERY = float(sys.argv[3])
    store = open_store(sys.argv[1])
    endless = dataclasses.replace(worlds.TINY, images=10**7)
    train(Artifact.open(store, "shard", sys.argv[2]), None, None, (), None, (), endless, store=store)
"""


@contextmanager
def training_at_work(store: Store, dataset: Artifact, every: float = 0.5) -> Generator[str]:
    """The fingerprint of a training that goes on until the block ends, and is killed then.

    Args:
        store: where it works.
        dataset: that it learns from; of this store, or one that this is a copy of.
        every: seconds between two of its statuses.
    """
    command = [sys.executable, "-c", TRAIN, store.url, dataset.fingerprint, str(every)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as child:
        try:
            while not (at_work := [status for status in running(store) if status.training]):
                assert child.poll() is None
                time.sleep(0.1)
            yield at_work[0].fingerprint
        finally:
            below = psutil.Process(child.pid).children(recursive=True)
            for process in (child, *below):
                process.kill()
            psutil.wait_procs(below, timeout=300)
