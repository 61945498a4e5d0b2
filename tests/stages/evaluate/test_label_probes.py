"""Columns of which there is nothing to tell are said, and the others are measured."""

import pytest

from stages.artifacts.artifact import Artifact
from stages.config.evaluate import EvaluateConfig
from stages.evaluate import evaluate
from stages.store import Store
from tests.stages.coloured import coloured_dataset, untrained_encoder

REASONS = {
    "tags": "'tags' holds tags; a probe tells one class of each row",
    "taught": "no row that is measured has a label in 'taught'",
}


@pytest.fixture(scope="module")
def coloured(store: Store) -> Artifact:
    return coloured_dataset(store)


@pytest.fixture(scope="module")
def eyes(store: Store) -> Artifact:
    return untrained_encoder(store)


def measured(store: Store, coloured: Artifact, eyes: Artifact, *columns: str) -> Artifact:
    config = EvaluateConfig(columns=columns, device="cpu")
    return evaluate(eyes, coloured, None, (), config, store=store)


def test_a_column_without_labels_costs_no_other_its_figures(store: Store, coloured: Artifact, eyes: Artifact):
    result = measured(store, coloured, eyes, "colour", *REASONS)
    probes, page = result.json("report.json")["probes"], result.read("report.md").decode()
    assert (probes["colour"]["linear"], probes["colour"]["classes"]) == (1.0, 2)
    assert (
        probes["colour"] == measured(store, coloured, eyes, "colour").json("report.json")["probes"]["colour"]
    )
    assert page.count("| colour |") == 1
    for column, words in REASONS.items():
        assert words in probes[column]["unmeasured"]
        assert set(probes[column]) == {"unmeasured"}
        assert any(words in warning for warning in result.statistics["warnings"])
        assert f"| {column} |" not in page
    assert page.count("Not measured: evaluate.columns") == len(REASONS)


def test_where_no_column_can_be_measured_the_rest_is(store: Store, coloured: Artifact, eyes: Artifact):
    result = measured(store, coloured, eyes, "tags")
    report = result.json("report.json")
    assert list(report["probes"]) == ["tags"]
    assert report["recognition"]["rows"] > 0
    page = result.read("report.md").decode()
    assert "Not measured: evaluate.columns" in page
    assert "told right by frozen features" not in page


def test_a_column_that_is_not_there_is_refused(store: Store, coloured: Artifact, eyes: Artifact):
    with pytest.raises(ValueError, match=r"the dataset has no shape; there are .*colour"):
        measured(store, coloured, eyes, "colour", "shape")
