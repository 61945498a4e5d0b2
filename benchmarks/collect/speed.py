"""Images per second, and seconds until every picture is there that can be had, against img2dataset.

Three servers: one that answers at once, one that takes 20 ms, one on which 5 % of the hosts answer 503 for
their first three seconds. All runs of a comparison ask the same server, which is started anew for each run.

Both are of whole commands, from start to end, as who runs them waits for them; the speed by the server's
clock, from its first request to its last, is told beside it. Where img2dataset keeps the bytes, it decodes
nothing; ours decodes every picture. What a run leaves is asked for by another one, three at most: ours as the
next edition of the same table; img2dataset, whose `incremental` mode passes over failed rows for good, with a
table of them that its user has to make, into another folder.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.collect import collection, peer
from benchmarks.collect.served import HOSTS, Served
from benchmarks.schema import Row, row

SERVERS: dict[str, dict[str, Any]] = {
    "loopback": {},
    "20 ms of latency": {"latency": 0.02},
    "5 % of hosts failing at first": {"failing": HOSTS // 20},
}
RUNS = 3


@dataclass(frozen=True)
class Timing:
    """How one side did."""

    speed: float
    """Pictures a second of the first run, from its start to its end."""
    served: float
    """Pictures a second of the first run, between the server's first and last request."""
    first: int
    """Pictures after the first run."""
    reached: int
    """After the last."""
    seconds: float
    """Of all runs."""
    runs: int
    requests: int


Runner = Callable[[Served, Path, int], Timing]


def ours_on(served: Served, folder: Path, pictures: int) -> Timing:
    """Our side, on a server."""
    table, store = served.table(folder / "table.parquet", range(pictures)), folder / "store"
    made = collection.run(table, store)
    asked = served.report()
    first, seconds, runs = made, made.seconds, 1
    while made.images < pictures and runs < RUNS:
        runs += 1
        made = collection.run(table, store, made.fingerprint, edition=str(runs))
        seconds += made.seconds
    requests = asked.total + served.report().total
    speed, served_speed = first.images / first.seconds, first.images / asked.seconds
    return Timing(speed, served_speed, first.images, made.images, seconds, runs, requests)


def peer_on(settings: dict[str, object]) -> Runner:
    """img2dataset with some settings, on a server."""

    def on(served: Served, folder: Path, pictures: int) -> Timing:
        table = served.table(folder / "table.parquet", range(pictures))
        done = peer.run(table, folder / "output-1", settings)
        asked = served.report()
        first, seconds, runs = pictures - len(done.failed), done.seconds, 1
        speed, served_speed = first / seconds, first / asked.seconds
        while done.failed and runs < RUNS:
            runs += 1
            left = folder / f"left-{runs}.parquet"
            captions = ["again"] * len(done.failed)
            pq.write_table(pa.table({"url": done.failed, "caption": captions}), left)
            done = peer.run(left, folder / f"output-{runs}", settings)
            seconds += done.seconds
        requests = asked.total + served.report().total
        return Timing(speed, served_speed, first, pictures - len(done.failed), seconds, runs, requests)

    return on


def measure(folder: Path, pictures: int, sides: dict[str, Runner]) -> dict[str, dict[str, Timing]]:
    """Server -> side -> timing."""
    found: dict[str, dict[str, Timing]] = {}
    for server, options in SERVERS.items():
        found[server] = {}
        for side, run in sides.items():
            work = folder / "work"
            work.mkdir(parents=True)
            with Served(folder, **options) as served:
                timing = found[server][side] = run(served, work, pictures)
            shutil.rmtree(work)
            print(f"{server}, {side}: {timing}", flush=True)
    return found


def speed(folder: Path, pictures: int) -> list[Row]:
    """All comparisons: speed with each setting, time to all with the fastest of them."""
    peer.command()  # installed before anything is timed
    sides = {"ours": ours_on, **{name: peer_on(settings) for name, settings in peer.SETTINGS.items()}}
    rows: list[Row] = []
    for server, timings in measure(folder, pictures, sides).items():
        mine = timings.pop("ours")
        for name, one in timings.items():
            rows.append(
                row(
                    f"images per second, {pictures:,} pictures, {server}, img2dataset with {name}",
                    f"1/s, whole commands; by the server's clock {mine.served:.0f} against {one.served:.0f}; "
                    f"{mine.first:,} and {one.first:,} pictures came",
                    mine.speed,
                    one.speed,
                    f"img2dataset {peer.VERSION}, {name}",
                )
            )
        quick = min(timings, key=lambda name: (-timings[name].reached, timings[name].seconds))
        best = timings[quick]
        rows.append(
            row(
                f"time to all {pictures:,} pictures, {server}",
                f"s, whole commands; ours {_told(mine)}; img2dataset {_told(best)}",
                mine.seconds,
                best.seconds,
                f"img2dataset {peer.VERSION}, {quick}; failed rows by hand into further runs",
            )
        )
    return rows


def _told(timing: Timing) -> str:
    return (
        f"{timing.first:,} at first, {timing.reached:,} after {timing.runs} runs, "
        f"{timing.requests:,} requests"
    )
