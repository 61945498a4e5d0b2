"""Reads a table of ten million rows as collect does, and measures the memory that it takes.

    python -m benchmarks.rows [--rows 10000000]

A Parquet file of URLs, captions and licences is made in a temporary folder. Then, in processes of their own:
`url_rows` through `write_rows`, and `pandas.read_parquet`. Writes benchmarks/results/rows.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import schema

# The measuring processes import what they need themselves: Linux counts the memory of the process that starts
# another into the other's peak.

RESULT = schema.RESULTS / "rows.json"
BOUND = 1024
"""MiB that reading may take."""
GROUP = 50_000
"""Rows to a row group: about 5 MB."""


def make(path: Path, rows: int) -> None:
    """Write a table of so many rows, all URLs distinct, on 10,007 hosts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.string()) for name in ("url", "caption", "licence")])
    things = ("a red fox", "two owls", "an old bridge", "the harbour", "bread and cheese")
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP):
            numbers = range(start, min(start + GROUP, rows))
            urls = [
                f"https://img{n % 10007}.example.com/photos/{n * 2654435761 % 2**32:08x}/{n}.jpg?w=1024"
                for n in numbers
            ]
            captions = [f"{things[n % 5]} in the evening light, picture {n} of the series" for n in numbers]
            licences = [("CC0", "CC-BY-4.0", "")[n % 3] for n in numbers]
            writer.write_table(pa.table([urls, captions, licences], schema=schema))


def read(path: Path, rows: int) -> None:
    """Read the table as collect does."""
    from stages.collect.sources.rows import write_rows
    from stages.collect.sources.tables import url_rows
    from stages.config.collect import UrlSource

    source = UrlSource(name="web", tables=(str(path),), licence_column="licence")
    began = time.perf_counter()
    write_rows(url_rows(source, changed=False), path.with_name("rows.parquet"))
    report(began)
    import pyarrow.parquet as pq

    assert pq.read_metadata(path.with_name("rows.parquet")).num_rows == rows


def load(path: Path, rows: int) -> None:
    """Read the table as a notebook would."""
    import pandas as pd

    began = time.perf_counter()
    frame = pd.read_parquet(path)
    report(began)
    assert len(frame) == rows


def report(began: float) -> None:
    """Print the peak of this process's memory, MiB, and the seconds since."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([peak, time.perf_counter() - began]))


def run(step: str, path: Path, rows: int) -> str:
    """One step in a process of its own; what it prints."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.rows",
        "--rows",
        str(rows),
        "--step",
        step,
        "--path",
        str(path),
    ]
    root = Path(__file__).parent.parent
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root).stdout


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--step", choices=["make", "read", "load"], help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        {"make": make, "read": read, "load": load}[given.step](given.path, given.rows)
        return 0
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        table = Path(folder, "table.parquet")
        run("make", table, given.rows)
        size = table.stat().st_size / 2**20
        print(f"{given.rows} rows, {size:.0f} MiB of Parquet", flush=True)
        peak, seconds = json.loads(run("read", table, given.rows))
        print(
            f"collect: {peak:.0f} MiB, {seconds:.0f} s, {seconds / given.rows * 1e6:.1f} us a row", flush=True
        )
        name = f"peak memory of reading {given.rows:,} rows of a URL table, {seconds:.0f} s"
        unit = f"MiB; the table is {size:.0f} MiB of Parquet"
        found = [schema.row(name, unit, peak, BOUND, "the bound that is set for it")]
        try:
            peer, peer_seconds = json.loads(run("load", table, given.rows))
        except subprocess.CalledProcessError as error:  # too little memory for it, most likely
            print(f"pandas ended with status {error.returncode}: no comparison", flush=True)
        else:
            peer_name = f"pandas.read_parquet, {peer_seconds:.0f} s"
            found.append(schema.row(f"{name}, beside pandas", unit, peak, peer, peer_name))
    schema.write(RESULT, found)
    return schema.report(found)


if __name__ == "__main__":
    sys.exit(main())
