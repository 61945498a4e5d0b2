"""label: classes of pictures that have none, as an image encoder's features tell them from those that have
one (pseudo-labels; Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method").

A training takes them as `conditions.columns[].pseudo`, from a confidence on.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Artifact, Funnel
from stages.config.label import LabelConfig
from stages.label.features import features_of
from stages.output import Output
from stages.pretrained.image_encoder import KIND
from stages.pretrained.pseudo import LABELS, TABLE
from stages.stage import Stats, StepSettings, stage

SURE = (0.5, 0.8, 0.9, 0.95)
"""Confidences from which on it is counted how many labels are right."""


@stage(version=2, kind="labels", step=StepSettings(reference="labels"))
def label(dataset: Artifact, encoder: Artifact, config: LabelConfig, out: Output) -> Stats:
    """Tell the classes of the train split's pictures that have none, by a linear probe on frozen features.

    Args:
        dataset: of shard.
        encoder: a model of the self-supervised objective.
        config: which column holds classes.
        out: gets `labels.parquet` (LABELS): a row for each picture of the train split without a class, in the
            dataset's order.

    Returns:
        The funnel (no picture is left out), and `column`; `labelled`, pictures that the probe was fit to,
        at most `sdmodel.evaluate.probe.ROWS`, evenly spread; `classes`; `accuracy`, the share of the
        validation split's labelled pictures that it tells right, None where there are none; `sure`, for each
        of SURE the share of them that it is as sure of, and how many of these are right.

    Raises:
        ValueError: the model is no image encoder, the column is not there, or holds no two classes.
    """
    import torch

    from sdmodel.evaluate.probe import fit_probe, spread_rows

    if "model/config.json" not in encoder.files or encoder.json("model/config.json").get("kind") != KIND:
        raise ValueError(f"label: {encoder.short_name} is no image encoder; name a model of objective {KIND}")
    folder = encoder.lay("model/", out.folder / "encoder")
    train = _labels(dataset, "train", config.column)
    classes = sorted({name for name in train if name})
    if len(classes) < 2:
        raise ValueError(
            f"label: pictures of the train split have {len(classes)} classes in {config.column!r}; two at "
            "least can be told apart"
        )
    features = features_of(folder, dataset, "train", config.device, out)
    known = torch.tensor([bool(name) for name in train])
    truth = torch.tensor([classes.index(name) for name in train if name])
    fit = torch.from_numpy(spread_rows(len(truth)))
    probe = fit_probe(features[known][fit], truth[fit], len(classes))
    sure, places = probe.logits(features[~known]).softmax(1).max(1)
    uids = [uid for uid, name in zip(_uids(dataset, "train"), train, strict=True) if not name]
    table = {"uid": uids, "label": [classes[place] for place in places.tolist()], "confidence": sure.tolist()}
    pq.write_table(pa.table(table, LABELS), out.write(TABLE), compression="zstd")
    validation = _labels(dataset, "validation", config.column)
    goal = torch.tensor([classes.index(name) if name in classes else -1 for name in validation])
    measures: dict[str, Any] = {"accuracy": None, "sure": {}}
    if (goal >= 0).any():
        seen = features_of(folder, dataset, "validation", config.device, out)[goal >= 0]
        measures = _measures(probe.logits(seen).softmax(1), goal[goal >= 0])
    statistics = {"column": config.column, "labelled": len(fit), "classes": len(classes), **measures}
    return Stats(Funnel(len(train), len(train)), statistics)


def _measures(shares: Any, goal: Any) -> dict[str, Any]:
    """Of probabilities (M, C) and classes (M,)."""
    confidence, places = shares.max(1)
    right = places == goal
    sure: dict[str, Any] = {}
    for least in SURE:
        chosen = confidence >= least
        told_right = round(float(right[chosen].double().mean()), 4) if chosen.any() else None
        sure[f"{least:g}"] = {"share": round(float(chosen.double().mean()), 4), "right": told_right}
    return {"accuracy": round(float(right.double().mean()), 4), "sure": sure}


def _rows(dataset: Artifact, split: str) -> Any:
    index = dataset.arrow_table("index")
    return index.filter(pa.array([name == split for name in index.column("split").to_pylist()], pa.bool_()))


def _uids(dataset: Artifact, split: str) -> list[str]:
    return _rows(dataset, split).column("uid").to_pylist()


def _labels(dataset: Artifact, split: str, column: str) -> Sequence[str | None]:
    """Classes of a split's pictures. ValueError: there is no such column, or it holds no classes."""
    rows = _rows(dataset, split)
    if column not in rows.column_names:
        raise ValueError(
            f"label: the index of the dataset has no column {column!r}; it has "
            f"{', '.join(sorted(rows.column_names))}; `shard.columns` brings columns of the sources along"
        )
    values = rows.column(column)
    if not pa.types.is_string(values.type):
        raise ValueError(f"label: column {column!r} holds {values.type}; one class of each picture is needed")
    return values.to_pylist()
