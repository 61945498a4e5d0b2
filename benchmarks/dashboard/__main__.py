"""Measures the dashboard over a store of a thousand results and a million rows, all made by code.

    python -m benchmarks.dashboard [--results 1000] [--rows 1000000] [--folder FOLDER]

One line of stages holds the million rows, with tars, embeddings of 512 numbers and evidence; the others are
its nightly kin of 200. `sdflow dashboard` serves them in a process of its own; every kind of page that links
lead to is asked for, and opened in Chromium where there is one. Some minutes and 4 GB of disk. Writes
benchmarks/results/dashboard.json. Ends with status 1 where a goal was missed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks import schema
from benchmarks.dashboard.visits import Look, Visit, look_at, shape, visit_all

RESULT = schema.RESULTS / "dashboard.json"
NIGHT = 200
"""Rows of a small line."""
SERVER, FRAGMENT, BROWSER = 300, 2000, 1000
"""Milliseconds that a page, a part of one and a page in a browser may take."""
NODES, MEMORY = 2000, 1024
"""Elements of a page and MiB that the server may have."""
BOUND = "the bound that is set for it"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="for what is made; a temporary one by default")
    parser.add_argument("--step", choices=["make", "index"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        {"make": _make, "index": _index}[given.step](given.folder, given.results, given.rows)
        return 0
    with tempfile.TemporaryDirectory(prefix="dashboard-") as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "starts").exists():
            _step("make", folder, given.results, given.rows)
        seconds, mebibytes, indexed = map(float, _step("index", folder, given.results, given.rows).split())
        starts = (folder / "starts").read_text().split()
        with _served(folder) as (address, peak):
            visits = list(visit_all(address, starts))
            for visit in visits:
                print(f"{visit.first:.3f} {visit.again:.3f} {visit.size:8,} {visit.path[:120]}", flush=True)
            paths = [visit.path for visit in visits if not visit.fragment]
            looks = list(look_at(address, paths))
        for look in looks:
            print(f"{look.seconds:.2f} {look.nodes:5} {look.path[:120]}", flush=True)
    size = f"{given.results:,} results and {given.rows:,} rows"
    result = [
        schema.row(f"index of tables, {size}, once a version", "s", seconds, 60, BOUND),
        schema.row(f"index of tables on disk, {indexed:,.0f} rows", "MiB", mebibytes, 1024, BOUND),
        schema.row("the server's own memory at its peak", "MiB", peak(), MEMORY, BOUND),
        *_rows(visits, looks),
    ]
    schema.write(RESULT, result)
    return schema.report(result)


def _rows(visits: Sequence[Visit], looks: Sequence[Look]) -> list[schema.Row]:
    """What pages took; of one shape the slowest."""
    pages = [visit for visit in visits if not visit.fragment]
    slowest = max(pages, key=lambda visit: visit.first)
    name = f"slowest of {len(pages)} pages, asked for the first time: {shape(slowest.path)}"
    result = [schema.row(name, "ms", slowest.first * 1000, SERVER, BOUND)]
    if looks:
        slow, large = max(looks, key=lambda look: look.seconds), max(looks, key=lambda look: look.nodes)
        name = f"slowest page in Chromium: {shape(slow.path)}"
        result.append(schema.row(name, "ms", slow.seconds * 1000, BROWSER, BOUND))
        result.append(schema.row(f"largest page: {shape(large.path)}", "elements", large.nodes, NODES, BOUND))
    by_shape = {shape(visit.path): visit for visit in sorted(visits, key=lambda visit: visit.again)}
    for name, visit in sorted(by_shape.items(), key=lambda item: (item[1].fragment, item[0])):
        bound, kind = (FRAGMENT, "part of a page") if visit.fragment else (SERVER, "page")
        result.append(schema.row(f"{kind}, {name}", "ms", visit.again * 1000, bound, BOUND))
    return result


def _step(step: str, folder: Path, results: int, rows: int) -> str:
    """A step in a process of its own, so that its memory is its own; what it prints."""
    command = [sys.executable, "-m", "benchmarks.dashboard", "--step", step, "--folder", str(folder)]
    command += ["--results", str(results), "--rows", str(rows)]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=_environment(folder)
    ).stdout


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "SDFLOW_CACHE": str(folder / "cache")}


def _make(folder: Path, results: int, rows: int) -> None:
    """The store, and addresses of pages to begin with."""
    from benchmarks.dashboard.line import STAGES, Size, make
    from dashboard.links import artifact_path, diff_path, gallery_path, special_path
    from stages.store import open_store

    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(str(folder / "store"))
    began = time.perf_counter()
    large = make(store, "large", Size(rows=rows, seed=0))
    print(f"{rows:,} rows: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    nights = (results - STAGES) // STAGES
    previous = None
    for night in range(1, nights + 1):
        small = make(store, "nightly", Size(rows=NIGHT, seed=night), previous)
        previous = small["collect"]
    print(f"all results: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    index = large["shard"].arrow_table("index", ["uid"]).slice(rows // 3, 1).to_pylist()[0]
    image = large["collect"].arrow_table("images", ["uid", "sha256", "location"]).slice(rows // 2, 1)
    row = image.to_pylist()[0]
    pages = [artifact_path(artifact) for artifact in large.values()]
    pages += [special_path(artifact) for artifact in large.values()]
    pages += [gallery_path(large["collect"], table="images"), gallery_path(large["shard"], table="index")]
    pages += [gallery_path(large["collect"], table="rejects", reason="timeout")]
    pages += [
        gallery_path(large["shard"], table="index", words=words) for words in ("orange star", "unheard of")
    ]
    pages += [f"/images/{index['uid']}", f"/images/{row['uid']}"]
    pages += [f"/search?q={words}" for words in ("orange+star", row["uid"], row["sha256"], row["location"])]
    pages += ["/search/captions?q=orange+star", "/search/captions?q=nowhere+to+be+seen"]
    pages += [
        diff_path("datasets/nightly@1", "datasets/nightly@2"),
        diff_path("datasets/nightly@2", "datasets/large@1"),
    ]
    pages += ["/", "/running", "/graph", "/stale", "/studies", "/takedowns", "/takedowns/new", "/diff"]
    (folder / "starts").write_text("\n".join(pages))


def _index(folder: Path, _results: int, _rows: int) -> None:
    """The index, where the server looks for it: seconds, MiB and rows."""
    from dashboard.catalogue import Catalogue
    from dashboard.pictures.reader import StoreReader
    from stages.store import open_store

    store = open_store(str(folder / "store"))
    index = StoreReader.of(store).index
    index.update(Catalogue(store).contents())
    print(index.cost.seconds, index.cost.size / 2**20, index.cost.rows)


@contextmanager
def _served(folder: Path) -> Generator[tuple[str, "_Peak"]]:
    """`sdflow dashboard`: its address, and the peak of its memory so far."""
    command = [
        sys.executable,
        "-m",
        "flows.cli",
        "dashboard",
        "--store",
        str(folder / "store"),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(folder)) as child:
        assert child.stdout
        address = re.search(r"http://127\.0\.0\.1:\d+/", child.stdout.readline())
        assert address
        peak = _Peak(child.pid)
        try:
            yield address[0].rstrip("/"), peak
        finally:
            peak.end()
            child.terminate()


class _Peak:
    """Watches a process's own memory: without pages of files, which the system takes back at need."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __call__(self) -> float:
        """MiB."""
        return self._bytes / 2**20

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            memory = self._process.memory_info()
            self._bytes = max(self._bytes, memory.rss - memory.shared)


if __name__ == "__main__":
    sys.exit(main())
