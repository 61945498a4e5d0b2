"""A refresh asks for what is new and for what is due, not for everything again; the server counts.

10,000 rows are collected while 100 of them are answered 503. Then 50 rows leave the table, 200 come, and the
100 answer. The second edition must ask for 300 pictures: the new and the due.
"""

from pathlib import Path

from benchmarks.collect import collection
from benchmarks.collect.served import Served
from benchmarks.schema import Row, row

DUE, GONE, NEW = 100, 50, 200


def refresh(folder: Path, pictures: int) -> list[Row]:
    """Requests of the second edition."""
    store = folder / "store"
    # Numbers below DUE fail; without further rounds, as a site that is down for longer than a run.
    with Served(folder, broken=DUE) as served:
        first = collection.run(served.table(folder / "first.parquet", range(pictures)), store, retries=0)
        port = served.port
    assert first.images == pictures - DUE, first
    with Served(folder, port) as served:
        table = served.table(folder / "second.parquet", [*range(DUE), *range(DUE + GONE, pictures + NEW)])
        second = collection.run(table, store, first.fingerprint, edition="2", retries=0)
        asked = served.report()
    print(first, second, sep="\n", flush=True)
    assert second.images == pictures - GONE + NEW, second
    wanted = {f"/{n}.jpg" for n in (*range(DUE), *range(pictures, pictures + NEW))}
    return [
        row(
            f"requests for pictures in a refresh of {pictures:,} rows: {NEW} new, {GONE} gone, {DUE} due",
            f"requests, of which {len(wanted - asked.pictures.keys())} missing and "
            f"{len(asked.pictures.keys() - wanted)} needless; {second.seconds:.1f} s",
            asked.total,
            NEW + DUE,
            "the rows that are new or due",
        )
    ]
