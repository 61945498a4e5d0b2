"""Trainings with conditions, whole: in pixels and in cached latents, and from a model that was taught
some."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig
from sdmodel.config.learning import LoraConfig, ValidationConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import load
from sdmodel.train.run import run
from tests.sdmodel.diffusion import cached
from tests.sdmodel.golden.tiny import config_of, job

CONFIG: TrainConfig = replace(
    config_of("conditions"), images=16, checkpoint_every=16, data=TrainConfig().data
)


@pytest.fixture(scope="module")
def trained(dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conditions") / "training"
    validation = ValidationConfig(every=16, rows=4, prompts=("a red half",))
    run(job(folder, dataset, replace(CONFIG, validation=validation)))
    assert (folder / "samples/000000016.png").exists()
    return folder / "model"


def test_cached_latents_have_conditions_too(dataset: Any, tmp_path: Path):
    latents = cached.write(tmp_path / "latents", dataset)
    run(job(tmp_path / "training", dataset, CONFIG, latents=latents))
    model = load(tmp_path / "training/model")
    assert model.model.conditions is not None
    assert list(model.model.conditions.modules_by_name) == ["size", "similarity", "colour"]
    images = model.sample(["", ""], [0, 1], conditions={"colour": ["red", None], "similarity": [0.25, None]})
    assert images.shape == (2, 3, 16, 16)


def test_a_training_goes_on_from_a_model_with_its_classes(trained: Path, dataset: Any, tmp_path: Path):
    """A dataset that has fewer of them, in other numbers, means the same by them."""
    table = pq.read_table(dataset.index)
    colours = [None if value in ("red", "blue") else value for value in table.column("colour").to_pylist()]
    place = table.column_names.index("colour")
    pq.write_table(table.set_column(place, "colour", [colours]), tmp_path / "index.parquet")
    fewer = replace(
        job(tmp_path / "training", dataset, CONFIG), index=tmp_path / "index.parquet", start=trained
    )
    run(fewer)
    before, after = load(trained).model.conditions, load(tmp_path / "training/model").model.conditions
    assert before is not None
    assert after is not None
    assert after.layouts == before.layouts
    new = [value and f"dark {value}" for value in table.column("colour").to_pylist()]
    pq.write_table(table.set_column(place, "colour", [new]), tmp_path / "index.parquet")
    with pytest.raises(ValueError, match=r"its model does not know .'dark blue'"):
        run(replace(fewer, folder=tmp_path / "other"))


def test_a_column_that_is_missing_is_named_before_anything_is_decoded(dataset: Any, tmp_path: Path):
    conditions = ConditionsConfig(columns=(ClassColumnConfig(column="shape"),))
    with pytest.raises(ValueError, match=r"has no 'shape'; there are .*\(shard.columns brings"):
        run(job(tmp_path / "training", dataset, replace(CONFIG, conditions=conditions)))
    assert not (tmp_path / "training/cache").exists()


@pytest.mark.parametrize("merge", [True, False])
def test_low_rank_changes_keep_conditions(trained: Path, dataset: Any, tmp_path: Path, merge: bool):
    changed = replace(CONFIG, lora=LoraConfig(rank=2, merge=merge), start=str(trained))
    run(job(tmp_path / "training", dataset, changed, start=trained))
    before, after = load(trained).model, load(tmp_path / "training/model").model
    assert before.conditions is not None
    assert after.conditions is not None
    assert after.conditions.layouts == before.conditions.layouts
    weights = after.conditions.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in before.conditions.state_dict().items())
    assert any(
        not torch.equal(value, after.network.state_dict()[name])
        for name, value in before.network.state_dict().items()
    )
