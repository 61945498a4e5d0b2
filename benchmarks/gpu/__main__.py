"""Runs every path of CUDA that a training takes, and measures how fast it is; ten minutes at most.

    python -m benchmarks.gpu              # on a machine with a GPU; writes benchmarks/results/gpu.json
    python -m benchmarks.gpu --rehearse   # tiny shapes on a CPU: all but the calls of CUDA; writes nothing

Each case is a process of its own: one that fails, or takes too long, leaves its rows "not measured" and the
others as they are. Without a GPU all rows are "not measured", where none was measured before. Ends with
status 1 where a goal is missed or a case failed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks import schema
from benchmarks.gpu.rows import LIMITS, RESULT, absent, rows

LIMIT = 570.0
"""Seconds for all cases together."""


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rehearse", action="store_true", help="tiny shapes on a CPU; writes nothing")
    parser.add_argument("--only", action="append", choices=[*LIMITS], help="a case; may be given again")
    parser.add_argument("--out", type=Path, default=RESULT, help="file of results")
    parser.add_argument("--case", choices=[*LIMITS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        # The process that starts the cases needs none of what they import.
        from benchmarks.gpu.cases import CASES
        from benchmarks.gpu.scale import REAL, TINY

        figures = CASES[given.case](TINY if given.rehearse else REAL, given.folder)
        print(json.dumps({"figures": figures}), flush=True)
        return 0
    if not given.rehearse and not torch.cuda.is_available():
        print("there is no GPU here: nothing is measured")
        before = {one.name for one in schema.read(given.out) if one.measured} if given.out.exists() else set()
        schema.update(given.out, [one for one in absent() if one.name not in before])
        return 0
    names: list[str] = given.only or [*LIMITS]
    figures = measure(names, rehearse=given.rehearse)
    failed = sorted({*names} - {*figures})
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    if given.rehearse:
        return int(bool(failed))
    found = [one for one in rows(figures, torch.cuda.get_device_name()) if one.measured or not given.only]
    schema.update(given.out, found)
    return int(bool(schema.report(found) or failed))


def measure(names: list[str], *, rehearse: bool) -> dict[str, dict[str, float]]:
    """What the cases found, by name; those that failed are left out."""
    found: dict[str, dict[str, float]] = {}
    began = time.monotonic()
    for name in names:
        left = LIMIT - (time.monotonic() - began)
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            command = [sys.executable, "-m", "benchmarks.gpu", "--case", name, "--folder", folder]
            command += ["--rehearse"] if rehearse else []
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=max(1.0, min(left, LIMITS[name]))
                )
            except subprocess.TimeoutExpired:
                print(f"{name}: took too long", flush=True)
                continue
        *words, last = done.stdout.splitlines() or [""]
        if done.returncode == 0 and last.startswith('{"figures"'):
            found[name] = json.loads(last)["figures"]
        else:
            words += [last, done.stderr[-3000:], f"failed with status {done.returncode}"]
        print("\n".join([*words, f"{name}: {found.get(name, 'no figures')}"]), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
