"""The card of a model that went the whole line: its real numbers, and nothing that is not known."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from sdmodel.config.sampling import SamplingConfig
from sdmodel.train.process import launch
from stages.artifacts.artifact import Artifact
from stages.config.evaluate import EvaluateConfig
from stages.evaluate import evaluate
from stages.report.model_card import model_card
from stages.store import Store, open_store
from stages.takedown.records import Name, forget
from stages.train.train import train
from tests.stages import worlds
from tests.stages.training import in_this_process

pytestmark = pytest.mark.slow
LICENCE = "CC-BY <b>4.0</b> [x](http://evil.example/)"
CONFIG = replace(worlds.TINY, images=64, batch=32, checkpoint_every=64, seed=11)
EVALUATION = EvaluateConfig(samples=2, sampling=SamplingConfig(steps=2), validation_rows=4, device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("card") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"), rows=40, licence=LICENCE)


@pytest.fixture(scope="module")
def model(store: Store, dataset: Artifact) -> Iterator[Artifact]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "train", in_this_process)
        yield train(dataset, None, None, (), None, (), CONFIG, store=store)


def front_matter(card: str) -> tuple[dict[str, Any], str]:
    _, about, text = card.split("---\n", 2)
    return yaml.safe_load(about), text


def cells(text: str) -> list[list[str]]:
    """Every row of every table."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_a_card_has_the_runs_own_numbers(store: Store, model: Artifact, dataset: Artifact):
    about, text = front_matter(model_card(model))
    assert about["library_name"] == "sdmodel"
    assert about["pipeline_tag"] == "text-to-image"
    assert about["data_licences"] == [LICENCE]
    assert "license" not in about  # nobody said the model's own
    index = dataset.table("index")
    trained = int((index["split"] == "train").sum())
    rows = cells(text)
    assert next(row for row in rows if row[0] == "world")[2] == str(trained)
    assert "<b>" not in text
    assert not re.search(r"(?<!\\)\]\(", text)  # no link
    for artifact in (model, *model.ancestors()):
        row = next(row for row in rows if row[0] == artifact.short_name)
        assert row[1] == f"{artifact.funnel.rows_in:,}"
        assert row[3] == f"{artifact.funnel.rows_out:,}"
    facts = {row[0]: row[1] for row in rows if len(row) == 2}
    assert facts["images"] == facts["result: images"] == "64"
    assert facts["seed"] == "11"
    assert float(facts["result: loss"]) == pytest.approx(model.statistics["loss"], rel=1e-3)
    assert facts["started from"] == "random weights"
    assert facts["hardware"] == "not recorded"
    assert model.fingerprint in text
    assert model.digest in text
    assert 'sdmodel.load("FOLDER")' in text
    assert "None is in the store." in text
    assert "The store records none." in text

    evaluation = evaluate(model, dataset, None, (), EVALUATION, store=store)
    _, evaluated = front_matter(model_card(model))
    mse = evaluation.json("report.json")["validation"]["mse"]
    assert f"MSE {mse:.5f}" in evaluated
    assert evaluation.short_name in evaluated.replace("\\", "")


def test_layouts_say_how_they_load(model: Artifact):
    about, text = front_matter(model_card(model, layout="diffusers"))
    assert about["library_name"] == "diffusers"
    assert "DiffusionPipeline.from_pretrained" in text
    about, text = front_matter(model_card(model, layout="lora"))
    assert about["tags"] == ["diffusion", "lora"]
    assert "load_lora_weights" in text


def test_pictures_that_were_taken_down_since_are_named(store: Store, model: Artifact, dataset: Artifact):
    index = dataset.table("index")
    images = dataset.input("images")
    assert images is not None
    table = images.table("images").set_index("uid")
    held_out = index.loc[index["split"] == "validation", "uid"].iloc[0]
    forget(store, [Name("sha256", str(table.loc[held_out, "sha256"]))], "asked")
    assert "This model learned from none of these pictures" in model_card(model)
    learned = index.loc[index["split"] == "train", "uid"].iloc[0]
    forget(store, [Name("sha256", str(table.loc[learned, "sha256"]))], "asked")
    assert "The store records 2. **This model learned from 1 of these pictures**" in model_card(model)
