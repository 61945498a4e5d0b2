"""Kills the smoke run with SIGKILL, flow and children, at random moments of every stage, and runs it again.

    python -m benchmarks.kill --kills 21 [--seed 0]

The undisturbed run comes first, in a store of its own. Then rounds, each in a fresh store: in each stage of
the line the
run is killed at a random moment and started again, until it ends by itself; its digests must then equal those
of the
undisturbed run. Writes benchmarks/results/kill.json.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil

from benchmarks import schema

LINE = ("collect", "dedup", "score", "filter", "shard", "train", "evaluate")
RESULT = schema.RESULTS / "kill.json"


def start(store: Path, port: int, report: Path) -> subprocess.Popen[bytes]:
    """Start the smoke run in a process group of its own."""
    command = [
        Path(sys.executable).parent / "sdflow",
        "demo",
        "--preset",
        "smoke",
        "--store",
        store,
        "--report",
        report,
    ]
    log = store.with_suffix(".log").open("ab")
    return subprocess.Popen(
        [*map(str, command), "--port", str(port)], stdout=log, stderr=log, start_new_session=True
    )


def kill(process: subprocess.Popen[bytes]) -> int:
    """SIGKILL the run and everything that it started; how many processes that were."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            os.kill(member.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    return len(family)


def durations(store: Path) -> dict[str, float]:
    """Seconds that each stage of a finished run took."""
    seconds: dict[str, float] = {}
    for path in store.glob("manifests/*/*.json"):
        manifest = json.loads(path.read_text())
        began, ended = (datetime.fromisoformat(manifest[name]) for name in ("started", "ended"))
        seconds[manifest["stage"]] = (ended - began).total_seconds()
    return seconds


def leases(store: Path, stage: str) -> set[Path]:
    """The records of who works, or worked, on a stage."""
    return set(store.glob(f"leases/{stage}/*/*.json"))


def disturb(store: Path, port: int, stage: str, delay: float) -> bool:
    """Run until `delay` seconds into a stage, then kill. False: the stage was over before that."""
    before = leases(store, stage)  # of runs that were killed: this one will add its own
    process = start(store, port, store.with_suffix(".json"))
    try:
        while process.poll() is None:
            if leases(store, stage) - before:
                time.sleep(delay)
                if process.poll() is None:
                    killed = kill(process)
                    print(f"  killed {killed} processes {delay:.1f} s into {stage}", flush=True)
                    return True
            if any(store.glob(f"manifests/{stage}/*.json")):
                break
            time.sleep(0.05)
    finally:
        kill(process)
    return False


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=27190)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    print("undisturbed run", flush=True)
    if start(folder / "undisturbed", given.port, folder / "undisturbed.json").wait():
        print((folder / "undisturbed.log").read_text()[-2000:])
        return 1
    expected = json.loads((folder / "undisturbed.json").read_text())["artifacts"]
    seconds = durations(folder / "undisturbed")
    kills = dict.fromkeys(LINE, 0)
    rounds = same = 0
    while sum(kills.values()) < given.kills:
        rounds += 1
        store = folder / f"round-{rounds}"
        print(f"round {rounds}", flush=True)
        for stage in LINE:
            if sum(kills.values()) < given.kills and disturb(
                store, given.port, stage, rng.uniform(0, 0.9 * seconds[stage])
            ):
                kills[stage] += 1
        report = store.with_suffix(".json")
        status = start(store, given.port, report).wait()
        found = json.loads(report.read_text())["artifacts"] if status == 0 else {}
        same += found == expected
        for stage in LINE:
            if found.get(stage) != expected[stage]:
                print(f"  {stage}: {found.get(stage)} instead of {expected[stage]}", flush=True)
        print(
            f"  ended with status {status}, digests equal: {found == expected}; kills so far {kills}",
            flush=True,
        )
    row = schema.row(
        "rounds of kill -9 that end in the undisturbed run's digests",
        f"of {rounds} rounds, {sum(kills.values())} kills {json.dumps(kills)}",
        same,
        rounds,
        "all of them",
    )
    schema.write(RESULT, [row])
    return schema.report([row])


if __name__ == "__main__":
    sys.exit(main())
