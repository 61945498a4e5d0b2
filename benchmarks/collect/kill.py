"""kill -9 in the middle of collecting: the second run asks for what was not finished, and comes to the same.

5,000 pictures; the run, with its decoders, is killed when the server has been asked for half of them, and
started again. Parts that were on record when it was killed must not be asked for again.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks.collect import collection
from benchmarks.collect.served import ROOT, Served
from benchmarks.schema import Row, row

PART_ROWS = 250


def kill(folder: Path, pictures: int) -> list[Row]:
    """Requests of the second run, and whether its result is that of an undisturbed one."""
    with Served(folder, latency=0.02) as served:
        table = served.table(folder / "table.parquet", range(pictures))
        whole = collection.run(table, folder / "undisturbed", part_rows=PART_ROWS)
        served.report()
        store = folder / "killed"
        process = subprocess.Popen(collection.command(table, store, part_rows=PART_ROWS), cwd=ROOT)
        while served.asked() < pictures // 2:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        _kill(process)
        time.sleep(0.5)  # answers under way
        before, finished = served.report(), _finished(store)
        again = collection.run(table, store, part_rows=PART_ROWS)
        after = served.report()
    print(f"{finished} rows finished, {before.total} requests before, {after.total} after", flush=True)
    twice = len(before.pictures.keys() & after.pictures.keys())
    return [
        row(
            f"requests after kill -9 in the middle of {pictures:,} pictures",
            f"requests, {twice} for pictures asked for before; {finished} rows were in finished parts",
            after.total,
            pictures - finished,
            "the rows that were not finished",
        ),
        row(
            f"kill -9 in the middle of {pictures:,} pictures ends in the undisturbed run's digest",
            "of 1 run",
            float(again.digest == whole.digest and again.images == whole.images),
            1,
            "all of them",
        ),
    ]


def _kill(process: subprocess.Popen[bytes]) -> None:
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _finished(store: Path) -> int:
    """Rows of finished parts."""
    parts = [json.loads(path.read_text()) for path in store.glob("parts/collect/*.json")]
    return sum(part["funnel"]["rows_in"] for part in parts if part["funnel"])
