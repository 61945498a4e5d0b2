"""shard: a selection becomes a dataset of WebDataset tars with an index beside them."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel
from stages.config.run import ShardConfig
from stages.emptiness import emptied_by
from stages.engine import Inline, Processes
from stages.fingerprint import JSON, fingerprint_of
from stages.output import Output, Part, PartSpec
from stages.reasons import Reason
from stages.record import INDEX, REJECTS
from stages.shard.columns import passed, sampling_weights
from stages.shard.pack import pack
from stages.shard.split import SPLITS, order_key, splits_of
from stages.stage import Stats, StepSettings, stage


@stage(version=2, kind="dataset", step=StepSettings(reference="datasets"))
def shard(images: Artifact, selection: Artifact, config: ShardConfig, out: Output) -> Stats:
    """Pack the selected pictures into tars of oriented, opaque, 8-bit sRGB images.

    Pictures that are blank on the background, as white art on nothing is on white, are left out.
    Bytes that are such an image already are kept as they came; others are decoded, laid over the background
    and stored as PNG. Same input, same bytes, with one worker or many.

    Args:
        images: of collect; its tars hold the bytes.
        selection: of filter.
        config: splits, sizes, background.
        out: gets `shards/SPLIT-NNNNN.tar` (UID.jpg|png|webp, UID.txt, UID.json), `index.parquet`
            (record.INDEX, then config.columns) and `statistics.json` (mean and deviation of each channel over
            the train split, pixels in [-1, 1], each image counting once) and `rejects.parquet`
            (record.REJECTS).

    Returns:
        The funnel and rows and bytes per split. A warning names the splits that stay empty because their
        share of the clusters is less than one.

    Raises:
        ValueError: the selection is empty, the shares leave nothing to train on, a size is below 1, no
            picture has a column that is asked for, or all pictures to train on are blank on the background.
    """
    rows = _rows(images, selection, config, out)
    beside = passed(rows["columns"].tolist(), config.columns)
    keep = {"max_side": config.max_side, "background": config.background}
    engine = Inline() if config.workers == 1 else Processes(config.workers)
    parts = out.parts(_specs(rows, images, keep, config, out), pack, engine, config=keep, note="packing")
    blank: set[str] = {uid for part in parts for uid in part.json(f"blank/{part.key}.json")}
    _check_train(rows, blank, config)
    index = _index(parts, rows, blank, beside)
    rejects = _rejects(rows, blank, config)
    pq.write_table(rejects, out.write("rejects.parquet"), compression="zstd")
    pq.write_table(index, out.write("index.parquet"), compression="zstd")
    for part in parts:
        out.add({name: entry for name, entry in part.files.items() if name.startswith("shards/")})
    packed = {part.key: part.json(f"moments/{part.key}.json") for part in parts}
    channels = _channel_statistics([facts for name, facts in packed.items() if name.startswith("train-")])
    out.write("statistics.json").write_text(json.dumps(channels, indent=1, sort_keys=True))
    splits: list[str] = index.column("split").to_pylist()
    facts: dict[str, JSON] = {
        "rows": {split: splits.count(split) for split in SPLITS},
        "bytes": {
            split: sum(o["bytes"] for name, o in packed.items() if name.startswith(split)) for split in SPLITS
        },
        "kept_as_they_came": sum(facts["kept"] for facts in packed.values()),
        **channels,
    }
    reasons = {str(Reason.BLANK_ON_BACKGROUND): len(blank)} if blank else {}
    return Stats(Funnel(len(rows), len(index), reasons), facts)


def _rows(images: Artifact, selection: Artifact, config: ShardConfig, out: Output) -> pd.DataFrame:
    """The selected rows with their bytes' whereabouts and their split, in the order of the tars."""
    chosen = selection.table("selection")
    if chosen.empty:
        raise ValueError(f"the selection is empty: {emptied_by(selection)}")
    collected = images.table("images").drop(columns=["captions"])
    rows = chosen.merge(collected, on="uid", validate="one_to_one")
    assert len(rows) == len(chosen), "the selection names pictures that collect does not hold"
    splits = splits_of(rows["cluster"], config.validation, config.test)
    for split in ("validation", "test"):
        share = getattr(config, split)
        if share and split not in splits.values():
            out.warn(
                f"the {split} split is empty: shard.{split}={share} of {len(splits)} clusters of copies is "
                f"less than one; raise it to {math.ceil(1e4 / len(splits)) / 1e4:.4g} or collect more"
            )
    named = [splits[cluster] for cluster in rows["cluster"]]
    rows["split"] = pd.Categorical(named, categories=list(SPLITS), ordered=True)
    rows["order"] = [order_key(uid) for uid in rows["uid"]]
    return rows.sort_values(["split", "order"], ignore_index=True)


def _specs(
    rows: pd.DataFrame, images: Artifact, keep: Mapping[str, Any], config: ShardConfig, out: Output
) -> list[PartSpec]:
    """A part for each tar; it depends on its name and on the rows in it."""
    specs: list[PartSpec] = []
    for split in SPLITS:
        mine = rows.loc[rows["split"] == split]
        for start in range(0, len(mine), config.shard_rows):
            name = f"{split}-{start // config.shard_rows:05d}"
            records = [
                _record(row) for row in mine.iloc[start : start + config.shard_rows].to_dict("records")
            ]
            content = fingerprint_of([{**record, "file": "", "offset": 0} for record in records])
            payload = None
            if out.find(name, [name, content], config=keep) is None:  # else no tar need be fetched
                paths = {file: str(images.path(file)) for file in {record["file"] for record in records}}
                payload = {"name": name, "rows": [{**r, "file": paths[r["file"]]} for r in records], **keep}
            specs.append(PartSpec(name, [name, content], payload))
    return specs


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    """One row as plain data."""
    similarity = row["similarity"]
    return {
        "uid": row["uid"],
        "sha256": row["sha256"],
        "source": row["source"],
        "location": row["location"],
        "format": row["format"],
        "original_width": int(row["width"]),
        "original_height": int(row["height"]),
        "captions": [{**caption, "weight": float(caption["weight"])} for caption in row["captions"]],
        "multiplicity": int(row["multiplicity"]),
        "similarity": None if pd.isna(similarity) else round(float(similarity), 6),
        "file": row["file"],
        "offset": int(row["offset"]),
        "length": int(row["length"]),
    }


def _check_train(rows: pd.DataFrame, blank: set[str], config: ShardConfig) -> None:
    train: list[str] = rows.loc[rows["split"] == "train", "uid"].tolist()
    if blank.issuperset(train):
        raise ValueError(
            f"all of {len(train)} pictures to train on are blank on the background {config.background}: set "
            "`background` to a colour that they stand out from"
        )


def _rejects(rows: pd.DataFrame, blank: set[str], config: ShardConfig) -> Any:
    """record.REJECTS for rows that are blank on the background, by uid."""
    reject = {
        "reason": str(Reason.BLANK_ON_BACKGROUND),
        "rule": f"background={config.background}",
        "detail": f"nothing but {config.background}",
        "merged_into": "",
        "row": "",
    }
    places = sorted(zip(rows["uid"], rows["location"], strict=True))
    records = [{"uid": uid, "location": location, **reject} for uid, location in places if uid in blank]
    return pa.Table.from_pylist(records, REJECTS)


def _index(parts: list[Part], rows: pd.DataFrame, blank: set[str], beside: Mapping[str, Any]) -> Any:
    """The index of all tars, in tar order, with the columns that stand `beside` the rows."""
    packed = pd.DataFrame([record for part in parts for record in part.json(f"packed/{part.key}.json")])
    chosen = rows[["uid", "split", "captions", "multiplicity", "similarity"]].assign(
        original_width=rows["width"], original_height=rows["height"]
    )
    table = packed.merge(chosen, on="uid", validate="one_to_one")
    assert len(table) == len(rows) - len(blank), f"{len(table)} of {len(rows)} rows were packed"
    table["split"] = table["split"].astype(str)
    place = {uid: number for number, uid in enumerate(rows["uid"])}
    order = [place[uid] for uid in table["uid"]]
    table["labels"] = [[] for _ in range(len(table))]  # until somebody says them
    weights = sampling_weights(list(rows["columns"]))
    table["sampling_weight"] = [weights[row] for row in order]
    index = pa.Table.from_pandas(table[INDEX.names], INDEX, preserve_index=False)
    for name, column in beside.items():
        index = index.append_column(name, column.take(pa.array(order)))
    return index


def _channel_statistics(train: list[Mapping[str, Any]]) -> dict[str, JSON]:
    """Mean and deviation of each channel over the train split, from the sums of its tars."""
    images = sum(moments["images"] for moments in train)
    mean = np.sum([moments["mean"] for moments in train], axis=0) / images
    square = np.sum([moments["square"] for moments in train], axis=0) / images
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return {"channel_mean": mean.round(6).tolist(), "channel_deviation": deviation.round(6).tolist()}
