"""Collections and datasets that are tables and nothing else, for tests of what compares and counts them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.collect import CollectConfig
from stages.fingerprint import fingerprint_of
from stages.output import Output
from stages.record import IMAGES, INDEX, REJECTS, uid_of
from stages.stage import Stats, stage
from stages.store import Store

Row = dict[str, Any]


def image(name: str, captions: Sequence[str] = ("a picture",), **columns: Any) -> Row:
    """A row of record.IMAGES; the name becomes the uid and, unless one is given, location and bytes."""
    return {
        "uid": uid_of("test", name),
        "sha256": name.encode().hex().ljust(64, "0"),
        "source": "test",
        "location": f"https://example.org/{name}.jpg",
        "licence": "",
        "format": "jpeg",
        "width": 40,
        "height": 30,
        "frames": 1,
        "repairs": [],
        "file": "tars/a.tar",
        "offset": 0,
        "length": 1,
        **columns,
        "captions": [{"text": text, "source": "caption", "weight": 1.0} for text in captions],
        "columns": json.dumps(columns.get("columns", {})),
    }


def reject(name: str, reason: str, merged_into: str = "") -> Row:
    """A row of record.REJECTS."""
    return {
        "uid": uid_of("test", name),
        "reason": reason,
        "rule": "",
        "detail": "",
        "merged_into": merged_into,
        "location": f"https://example.org/{name}.jpg",
        "row": "test:table:0",
    }


def write(path: Path, rows: Sequence[Row], schema: Any = IMAGES) -> Path:
    """A table sorted by uid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["uid"]), schema)
    pq.write_table(table, path)
    return path


def collection(
    store: Store, held: Sequence[Row], refused: Sequence[Row] = (), evidence: Mapping[str, str] | None = None
) -> Artifact:
    """An artifact of kind images; `evidence` is text by file name."""

    @stage(version=2, kind="images", name="collect")
    def collected(source: Snapshot, config: CollectConfig, out: Output) -> Stats:
        write(out.write("images.parquet"), held)
        write(out.write("rejects.parquet"), refused, REJECTS)
        for name, text in (evidence or {}).items():
            out.write(name).write_text(text)
        return Stats(Funnel(len(held), len(held)))

    asked = fingerprint_of([list(held), list(refused), sorted((evidence or {}).items())])
    return collected(Snapshot(asked), CollectConfig(), store=store)


def dataset(store: Store, images: Artifact, names: Sequence[str], refused: Sequence[Row] = ()) -> Artifact:
    """An artifact of kind dataset with some pictures of a collection, and what its selection refused."""

    @stage(version=2, kind="selection", name="filter")
    def selected(images: Artifact, source: Snapshot, config: CollectConfig, out: Output) -> Stats:
        write(out.write("rejects.parquet"), refused, REJECTS)
        return Stats(Funnel(len(names), len(names)))

    @stage(version=1, kind="dataset", name="shard")
    def packed(images: Artifact, selection: Artifact, config: CollectConfig, out: Output) -> Stats:
        chosen = {uid_of("test", name) for name in names}
        rows = [
            {**row, "split": "train", "multiplicity": 1}
            for row in pq.read_table(images.path("images.parquet")).to_pylist()
            if row["uid"] in chosen
        ]
        table = [{name: row.get(name) for name in INDEX.names} for row in rows]
        write(out.write("index.parquet"), table, INDEX)
        return Stats(Funnel(len(rows), len(rows)))

    selection = selected(
        images, Snapshot(fingerprint_of([list(names), list(refused)])), CollectConfig(), store=store
    )
    return packed(images, selection, CollectConfig(), store=store)
