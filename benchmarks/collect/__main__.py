"""Runs the benchmarks of collection, alone on a quiet machine.

    python -m benchmarks.collect [speed] [refresh] [kill] [--pictures 10000]

All of them unless some are named; what each measures stands in the module of its name. They use loopback
alone, but for the installation of the peer before. Writes benchmarks/results/collect.json, where rows of
benchmarks that were not run stay as they are. Ends with status 1 where a goal was missed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import schema
from benchmarks.collect.kill import kill
from benchmarks.collect.refresh import refresh
from benchmarks.collect.speed import speed

RESULT = schema.RESULTS / "collect.json"


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    benchmarks = {"speed": speed, "refresh": refresh, "kill": kill}
    parser.add_argument("names", nargs="*", choices=[*benchmarks, []], help="speed, refresh, kill")
    parser.add_argument("--pictures", type=int, default=10_000, help="kill takes half of them")
    given = parser.parse_args()
    missed = 0
    for name in given.names or benchmarks:
        with tempfile.TemporaryDirectory(prefix=f"collect-{name}-") as folder:
            pictures = given.pictures // 2 if name == "kill" else given.pictures
            rows = benchmarks[name](Path(folder), pictures)
        schema.update(RESULT, rows)
        missed |= schema.report(rows)
    return missed


if __name__ == "__main__":
    sys.exit(main())
