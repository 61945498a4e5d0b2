"""evaluation: what evaluate makes. Its drawings may show pictures of the dataset beside what a model made.

`nearest.png` shows the nearest training pictures, named in the report; `grid.png` of an autoencoder the first
pictures of the split that it is measured on. Other grids show samples alone.
"""

from collections.abc import Iterator, Mapping

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON
from stages.kind import Kind, TakenDown, input_name
from stages.takedown.spans import Drawing

RECONSTRUCTED = 12
"""TakenDown that the grid of an autoencoder shows, in the order of the dataset's index."""


def _pixels(evaluation: Artifact, pictures: TakenDown) -> Iterator[Drawing]:
    if pictures.known and not pictures.uids:
        return
    report = evaluation.json("report.json")
    nearest = set((report.get("nearest") or {}).get("uids", []))
    # Where nobody can tell, because the dataset or its collection was dropped, the drawing counts.
    if "nearest.png" in evaluation.files and (pictures.uids & nearest or not pictures.known):
        yield Drawing("nearest.png")
    reconstruction = report.get("reconstruction") if "grid.png" in evaluation.files else None
    if reconstruction:
        first = _first(evaluation, reconstruction["split"])
        if first is None or pictures.uids & first:
            yield Drawing("grid.png")


def _first(evaluation: Artifact, split: str) -> set[str] | None:
    """The uids of the first pictures of a split of the dataset that the evaluation is on; None where that was
    dropped."""
    dataset = evaluation.input("dataset")
    assert dataset is not None, "evaluate has a dataset"
    if dataset.dropped is not None:
        return None
    rows = dataset.arrow_table("index", ["uid"], [("split", "=", split)], RECONSTRUCTED)
    return set(rows.column("uid").to_pylist())


def _derived(evaluation: Artifact) -> dict[str, str]:
    return {"what": "an evaluation of a model trained on it"}


def _settings(evaluation: Artifact) -> Mapping[str, JSON]:
    inputs = {"clip": "clip", "encoder": "encoders.0"}
    return {
        key: input_name(evaluation, name)
        for key, name in inputs.items()
        if evaluation.manifest.inputs.get(name)
    }


EVALUATION = Kind(
    name="evaluation",
    pixels=_pixels,
    purged=(
        "a drawing that shows it (`nearest.png`, the `grid.png` of an autoencoder) becomes grey; where its "
        "dataset was dropped, it may show it"
    ),
    derived=_derived,
    settings=_settings,
    outlives=("dataset",),
)
