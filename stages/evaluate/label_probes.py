"""What an image encoder's features know of labels that it may never have seen: a linear probe and weighted
nearest neighbours, fit on the train split, each beside the same on pixels and the commonest class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.evaluate.image_features import ImageFeatures
from stages.evaluate.images import index_of
from stages.output import Output

CHUNK = 512
"""Pictures that are decoded at once: bounds memory."""
SIDE = 16
"""Pixels to a side of the small pictures that stand for raw pixels, at most."""


def label_probes(
    folder: Path, dataset: Artifact, split: str, columns: Sequence[str], device: str, out: Output
) -> dict[str, Any] | None:
    """How often labels of a split are told right, by column; None where the split is what is learned from.

    Args:
        folder: of the image encoder.
        dataset: whose index has the columns, of one class a row.
        split: that is measured.
        columns: of labels; rows without one are left out of that column's figures.
        device: "cpu", "cuda" or "auto".
        out: hears of progress.

    Returns:
        column -> {"linear", "neighbours", "pixels_linear", "pixels_neighbours": shares [0, 1] that are told
        right by features and by small pictures; "majority": by the commonest class of the train split;
        "classes", "learned": rows fit to, "rows": measured}; of a column that holds tags or one class alone,
        or of which no looked-at row of a split has a label, {"unmeasured": why}, which `out` is warned of.

    Raises:
        ValueError: a column is not there.
    """
    there = dataset.arrow_table("index").column_names
    if missing := [name for name in columns if name not in there]:
        raise ValueError(
            f"evaluate.columns: the dataset has no {', '.join(missing)}; there are {', '.join(there)} "
            "(shard.columns brings columns of the sources)"
        )
    if split == "train":
        return None
    labels = {name: _labels(dataset, name) for name in columns}
    figures: dict[str, Any] = {}
    if any(not isinstance(own, str) for own in labels.values()):
        features = ImageFeatures(folder, device)
        learned, measured = (_seen(dataset, name, features, out) for name in ("train", split))
        for number, (name, own) in enumerate(labels.items()):
            out.check()
            out.progress(number, len(columns), f"probes of {name}")
            figures[name] = own if isinstance(own, str) else _figures(own, name, learned, measured)
    else:
        figures |= labels
    for name, words in figures.items():
        if isinstance(words, str):
            out.warn(words)
            figures[name] = {"unmeasured": words}
    return figures


def _labels(dataset: Artifact, name: str) -> Any:
    """Of a column, or why there is nothing to tell of it."""
    from sdmodel.pretrain.labels import Labels

    try:
        labels = Labels.read(dataset.path("index.parquet"), [name], block="evaluate")
    except ValueError as error:
        return str(error)
    if labels.columns[name].tags:
        return f"evaluate.columns: {name!r} holds tags; a probe tells one class of each row"
    return labels


_Seen = tuple[list[str], dict[str, Any]]
"""(uids, what rows are told by -> a tensor (N, F))."""


def _seen(dataset: Artifact, split: str, features: ImageFeatures, out: Output) -> _Seen:
    import torch
    from torch.nn import functional as F

    from sdmodel.data.pictures import Pictures
    from sdmodel.evaluate.probe import spread_rows

    index = index_of(dataset, split)
    rows = spread_rows(len(index))
    pictures = Pictures(index, features.size)
    parts: list[tuple[Any, Any]] = []
    for start in range(0, len(rows), CHUNK):
        out.check()
        out.progress(start, len(rows), f"features of the {split} split")
        pixels = pictures.read(rows[start : start + CHUNK])  # (M, 3, S, S)
        small = F.interpolate(torch.from_numpy(pixels).float(), min(SIDE, features.size), mode="area")
        parts.append((features(pixels.transpose(0, 2, 3, 1)), small.flatten(1)))
    seen, small_pictures = zip(*parts, strict=True)
    return [index.uids[row] for row in rows], {"": torch.cat(seen), "pixels_": torch.cat(small_pictures)}


def _figures(labels: Any, name: str, learned: _Seen, measured: _Seen) -> dict[str, Any] | str:
    """Of a column, or why it cannot be measured."""
    from sdmodel.evaluate.neighbours import nearest_classes
    from sdmodel.evaluate.probe import fit_probe

    classes = len(labels.columns[name].classes)
    (truth, there), (goal, known) = (
        (labels[:, 0], known[:, 0])
        for labels, known in (labels.of(name, uids, every=True) for uids, _ in (learned, measured))
    )
    if not there.any() or not known.any():
        splits = [split for split, own in (("learned from", there), ("measured", known)) if not own.any()]
        return f"evaluate.columns: no row that is {' or '.join(splits)} has a label in {name!r}; leave it out"
    truth, goal = truth[there], goal[known]
    shares: dict[str, float] = {"majority": _share(truth.bincount().argmax() == goal)}
    for kind, rows in measured[1].items():
        fit, seen = learned[1][kind][there], rows[known]
        shares[f"{kind}linear"] = _share(fit_probe(fit, truth, classes).logits(seen).argmax(1) == goal)
        shares[f"{kind}neighbours"] = _share(nearest_classes(fit, truth, seen, classes) == goal)
    return {**shares, "classes": classes, "learned": len(truth), "rows": len(goal)}


def _share(right: Any) -> float:
    return round(float(right.double().mean()), 4)
