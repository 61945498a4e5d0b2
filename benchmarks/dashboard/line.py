"""A line of stages whose results are made by code: the kinds, tables and files that the real ones leave."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.dashboard import tables
from benchmarks.dashboard.tables import SCHEMAS, TAR_ROWS, WIDTH, Rows, write_rows
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.artifacts.reference import refer
from stages.collect.outcomes import FETCHES
from stages.fingerprint import fingerprint_of
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store

TEXTS = ("address", "content_type", "etag", "last_modified", "retry_at")
SIGNALS = ("signal", "signal_value", "signal_where", "signal_when")
"""Columns of what was fetched that are empty."""
CURVE = 500
"""Rows of a model's metrics."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """The config of every stage of a line."""

    rows: int
    seed: int

    def drawn(self) -> Rows:
        """Its rows."""
        return Rows.drawn(self.rows, self.seed)

    def collected(self) -> Rows:
        """Those that came."""
        rows = self.drawn()
        return rows.where(~rows.rejected)

    def selected(self) -> Rows:
        """Those that are learned from."""
        rows = self.collected()
        return rows.where(rows.similarity >= tables.LOW)


@stage(version=1, kind="images")
def collect(source: Snapshot, previous: Artifact | None, config: Size, out: Output) -> Stats:
    """Tars, `images.parquet`, rejects, and what every request brought."""
    files = tables.pictures()
    every, rows = config.drawn(), config.collected()
    places = _write_tars(out, "tars/%05d.tar", rows, files)
    columns = tables.images_columns(rows, places, files)
    write_rows(out.write("images.parquet"), SCHEMAS["images"], columns, len(rows))
    lost = every.where(every.rejected)
    reasons = tables.reasons_of(lost)
    write_rows(
        out.write("rejects.parquet"), SCHEMAS["rejects"], tables.rejects_columns(lost, reasons, ""), len(lost)
    )
    urls = [tables.location(number) for number in every.numbers.tolist()]
    fetches = {
        "key": every.uids,
        "url": urls,
        "final_url": urls,
        "status": np.where(every.rejected, 404, 200),
        "requested_at": "2026-11-30T01:00:00Z",
        "seconds": 0.1,
        "bytes": 200,
        "requests": 1,
        "failures": 0,
        "reason": np.where(every.rejected, "http_not_found", ""),
        **dict.fromkeys((*TEXTS, *SIGNALS), ""),
    }
    write_rows(out.write("evidence/fetches.parquet"), FETCHES, fetches, len(every))
    return Stats(Funnel(len(every), len(rows), dict(Counter(reasons))), {"fetched": len(every)})


@stage(version=1, kind="duplicates")
def dedup(images: Artifact, config: Size, out: Output) -> Stats:
    """`duplicates.parquet`, in which nothing is a copy."""
    rows = config.collected()
    columns = {
        "uid": rows.uids,
        "phash": rows.numbers * 2654435761 % 2**32,
        "cluster": rows.uids,
        "level": "",
        "distance": 0.0,
        "multiplicity": 1,
    }
    write_rows(out.write("duplicates.parquet"), SCHEMAS["duplicates"], columns, len(rows))
    return Stats(Funnel(len(rows), len(rows)))


@stage(version=1, kind="scores")
def score(images: Artifact, config: Size, out: Output) -> Stats:
    """`scores.parquet` and embeddings."""
    rows = config.collected()
    random = np.random.default_rng(config.seed)
    for start in range(0, len(rows), TAR_ROWS):
        vectors = random.standard_normal((min(TAR_ROWS, len(rows) - start), WIDTH), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(out.write(f"embeddings/{start // TAR_ROWS:05d}.npy"), vectors.astype(np.float16))
    places = np.arange(len(rows))
    columns = {
        "uid": rows.uids,
        "similarity": rows.similarity,
        "caption": 0,
        "file": [f"embeddings/{place // TAR_ROWS:05d}.npy" for place in places.tolist()],
        "index": places % TAR_ROWS,
    }
    write_rows(out.write("scores.parquet"), SCHEMAS["scores"], columns, len(rows))
    return Stats(Funnel(len(rows), len(rows)), {"clip": True, "model": "ViT-B-32"})


@stage(version=1, kind="selection", name="filter")
def choose(images: Artifact, duplicates: Artifact, scores: Artifact, config: Size, out: Output) -> Stats:
    """`selection.parquet` and rejects."""
    rows = config.collected()
    chosen, lost = config.selected(), rows.where(rows.similarity < tables.LOW)
    columns = {
        "uid": chosen.uids,
        "captions": tables.captions_of(chosen),
        "multiplicity": 1,
        "cluster": chosen.uids,
        "similarity": chosen.similarity,
    }
    write_rows(out.write("selection.parquet"), SCHEMAS["selection"], columns, len(chosen))
    reasons = ["low_similarity"] * len(lost)
    rejects = tables.rejects_columns(lost, reasons, f"min_similarity={tables.LOW}")
    write_rows(out.write("rejects.parquet"), SCHEMAS["rejects"], rejects, len(lost))
    return Stats(Funnel(len(rows), len(chosen), dict(Counter(reasons))))


@stage(version=1, kind="dataset")
def shard(images: Artifact, selection: Artifact, config: Size, out: Output) -> Stats:
    """Tars and `index.parquet`."""
    files = tables.pictures()
    rows = config.selected()
    places = _write_tars(out, "shards/train-%05d.tar", rows, files)
    columns = {
        "uid": rows.uids,
        **places,
        "checksum": (rows.numbers % tables.DRAWN).astype(np.uint32),
        **dict.fromkeys(("width", "height", "original_width", "original_height"), tables.SIDE),
        "split": "train",
        "captions": tables.captions_of(rows),
        "labels": [[]] * len(rows),
        "multiplicity": 1,
        "similarity": rows.similarity,
    }
    write_rows(out.write("index.parquet"), SCHEMAS["index"], columns, len(rows))
    write_rows(
        out.write("rejects.parquet"),
        SCHEMAS["rejects"],
        tables.rejects_columns(rows.where(rows.rejected), [], ""),
        0,
    )
    return Stats(Funnel(len(rows), len(rows)), {"rows": {"train": len(rows)}})


@stage(version=1, kind="model")
def train(dataset: Artifact, config: Size, out: Output) -> Stats:
    """Curves, and weights that are none."""
    noise = np.random.default_rng(config.seed).normal(1, 0.05, CURVE)
    lines: list[dict[str, float]] = []
    for row in range(CURVE):
        loss = float(0.5 * (1 + row) ** -0.2 * noise[row])
        lines.append({"images": 32.0 * (row + 1), "loss": loss, "denoising": loss, "rate": 0.001})
    out.write("metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out.write("model/config.json").write_text("{}")
    return Stats(Funnel(config.rows, config.rows), {"objective": "diffusion", "images": 32 * CURVE})


def make(store: Store, name: str, config: Size, previous: Artifact | None = None) -> Mapping[str, Artifact]:
    """A line, and the names of its results; `previous` is the collection that it refreshes."""
    collection = collect(Snapshot(fingerprint_of([name, config.seed])), previous, config, store=store)
    duplicates = dedup(collection, config, store=store)
    scores = score(collection, config, store=store)
    selection = choose(collection, duplicates, scores, config, store=store)
    dataset = shard(collection, selection, config, store=store)
    model = train(dataset, config, store=store)
    refer(store, f"images/{name}", collection)
    refer(store, f"datasets/{name}", dataset)
    refer(store, f"models/{name}", model)
    return {"collect": collection, "score": scores, "filter": selection, "shard": dataset, "train": model}


STAGES = 6
"""Results of a line."""


def _write_tars(out: Output, pattern: str, rows: Rows, files: list[bytes]) -> Mapping[str, Any]:
    """Tars of the rows in turn; the columns that say where each lies."""
    places: dict[str, list[Any]] = {"file": [], "offset": [], "length": []}
    for start in range(0, len(rows), TAR_ROWS):
        within = np.zeros(len(rows), np.bool_)
        within[start : start + TAR_ROWS] = True
        part = rows.where(within)
        name = pattern % (start // TAR_ROWS)
        offsets, lengths = tables.write_tar(out.write(name), part, files)
        places["file"] += [name] * len(part)
        places["offset"] += offsets
        places["length"] += lengths
    return places
