"""The stage label: classes of pictures that have none, told from those that have one, and what a training
takes of them."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdmodel.conditions.pseudo import with_pseudo_labels
from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig, PseudoLabelsConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import read_index
from sdmodel.evaluate import probe
from sdmodel.library import fit
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer
from stages.config.label import LabelConfig
from stages.label import label
from stages.pretrained.pseudo import pseudo_inputs, pseudo_tables
from stages.store import Store, open_store
from tests.stages.coloured import NAMES, ROWS, coloured_dataset, untrained_encoder

CONFIG = LabelConfig(column="colour", device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("label") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store) -> Artifact:
    return coloured_dataset(store)


@pytest.fixture(scope="module")
def eyes(store: Store) -> Artifact:
    return untrained_encoder(store)


@pytest.fixture(scope="module")
def labelled(store: Store, dataset: Artifact, eyes: Artifact) -> Artifact:
    made = label(dataset, eyes, CONFIG, store=store)
    refer(store, "labels/colours", made)
    return made


def test_pictures_without_a_label_are_told_from_the_others(labelled: Artifact):
    table = labelled.table("labels")
    rows = [row for row in range(ROWS - 8) if row % 3 == 0]
    assert table["uid"].tolist() == [f"{row:032x}" for row in rows]
    assert table["label"].tolist() == [NAMES[row % 2] for row in rows]
    assert table["confidence"].between(0.5, 1).all()
    statistics = labelled.statistics
    assert (statistics["column"], statistics["classes"]) == ("colour", 2)
    assert statistics["labelled"] == ROWS - 8 - len(rows)
    assert statistics["accuracy"] == 1.0
    assert statistics["sure"]["0.5"] == {"share": 1.0, "right": 1.0}
    assert (labelled.kind, labelled.verify()) == ("labels", [])


def test_a_training_takes_those_that_are_sure_and_never_over_a_label(
    store: Store, dataset: Artifact, labelled: Artifact, tmp_path: Path
):
    column = ClassColumnConfig(column="colour", pseudo=PseudoLabelsConfig(labels="labels/colours"))
    config = TrainConfig(conditions=ConditionsConfig(columns=(column,)))
    (table,) = pseudo_inputs(store, config)
    assert table.digest == labelled.digest
    tables = pseudo_tables((table,), config)
    tars = {name: dataset.path(name) for name in dataset.names("shards/")}
    index = read_index(dataset.path("index.parquet"), tars, "train", columns=["colour"])
    own = index.columns["colour"]
    # Half of the labels are sure enough; and what is told of a row that has a label does not count.
    rows = pq.read_table(tables["colour"]).to_pylist()
    for number, row in enumerate(rows):
        row["confidence"] = 0.95 if number % 2 else 0.85
    rows.append({"uid": index.uids[1], "label": "red", "confidence": 1.0})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "labels.parquet")
    for confidence, taken in (
        (0.9, {row["uid"] for row in rows[1:-1:2]}),
        (0.8, {row["uid"] for row in rows}),
    ):
        pseudo = dataclasses.replace(column.pseudo, confidence=confidence)
        conditions = ConditionsConfig(columns=(dataclasses.replace(column, pseudo=pseudo),))
        whole = with_pseudo_labels(index, conditions, {"colour": tmp_path / "labels.parquet"})
        for uid, value, before in zip(index.uids, whole.columns["colour"], own, strict=True):
            colour = NAMES[int(uid, 16) % 2]
            assert value == (before or (colour if uid in taken else None))
    assert index.columns["colour"] == own
    # Of no tags at all it is known that there are none.
    tagged = dataclasses.replace(index, columns={"colour": [[]] * len(index)})
    whole = with_pseudo_labels(tagged, config.conditions, {"colour": tmp_path / "labels.parquet"})
    assert whole.columns == tagged.columns
    with pytest.raises(ValueError, match=r"pseudo\.labels=.* is a table of a store"):
        fit(config, tmp_path / "index.parquet", tmp_path / "training")


def test_a_probe_is_fit_to_so_many_pictures_at_most(
    dataset: Artifact, eyes: Artifact, labelled: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(probe, "ROWS", 5)
    tables = [
        label(dataset, eyes, CONFIG, store=open_store(str(tmp_path / name))) for name in ("one", "another")
    ]
    assert [table.statistics["labelled"] for table in tables] == [5, 5]
    assert tables[0].digest == tables[1].digest != labelled.digest
    assert tables[0].table("labels")["uid"].tolist() == labelled.table("labels")["uid"].tolist()


def test_what_cannot_be_labelled_is_refused(
    store: Store, dataset: Artifact, eyes: Artifact, labelled: Artifact
):
    for column, message in {
        "shape": "no column 'shape'; it has captions, checksum, colour",
        "tags": "'tags' holds list.*one class of each picture is needed",
    }.items():
        with pytest.raises(ValueError, match=message):
            label(dataset, eyes, dataclasses.replace(CONFIG, column=column), store=store)
    with pytest.raises(ValueError, match="is no image encoder; name a model of objective selfsupervised"):
        label(dataset, dataset, CONFIG, store=store)

    def inputs(column: str, name: str) -> None:
        pseudo = PseudoLabelsConfig(labels=name)
        columns = (ClassColumnConfig(column=column, pseudo=pseudo),)
        pseudo_inputs(store, TrainConfig(conditions=ConditionsConfig(columns=columns)))

    with pytest.raises(ValueError, match="has labels of 'colour', not of 'shape'"):
        inputs("shape", "labels/colours")
    refer(store, "models/eyes", eyes)
    with pytest.raises(ValueError, match="is no table of labels but of train; `sdflow label` makes one"):
        inputs("colour", "models/eyes")
