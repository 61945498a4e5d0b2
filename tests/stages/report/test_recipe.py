"""A recipe's config asks for just the artifact that it is of."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.config.file import read_run
from flows.steps import STEPS
from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Funnel, Manifest, artifacts
from stages.config.label import LabelConfig
from stages.fingerprint import canonical_config, request_fingerprint, short_hash
from stages.output import Output
from stages.report.recipe import Recipe, recipe, run_stages
from stages.stage import Stats, stage
from stages.store import open_store
from tests.conftest import Line
from tests.stages.pretrained.filed import filed

MAIN = "import sys; from flows.cli import main; sys.exit(main())"


def sdflow(folder: Path, command: str, store: Path) -> None:
    words = [sys.executable, "-c", MAIN, *command.removeprefix("sdflow ").split(), "--store", str(store)]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]


def recipe_in(store: Path, artifact: Artifact, name: str = "line") -> Recipe:
    known = {one.fingerprint: one for one in artifacts(open_store(str(store)))}
    made = recipe(artifact, known, name)
    assert made is not None
    return made


@pytest.mark.parametrize("stage", [name for name in run_stages() if name != "encode"])
def test_the_config_asks_for_the_same_fingerprint(line: Line, tmp_path: Path, stage: str):
    """Of the artifact, and of all that it was made from, where what comes from outside is the same."""
    path = tmp_path / "again.yaml"
    made = recipe_in(line.store, line.artifacts()[stage])
    path.write_text(made.text)
    run = read_run(path)
    for artifact in (made.artifact, *made.artifact.ancestors()):
        manifest, step = artifact.manifest, STEPS[artifact.stage]
        inputs = {name: one["digest"] if one else None for name, one in manifest.inputs.items()}
        config = canonical_config(getattr(run, artifact.stage))
        fingerprint = request_fingerprint(step.name, step.stage.version, config, inputs)
        assert fingerprint == artifact.fingerprint, artifact.short_name


def test_what_the_config_cannot_say_is_said(line: Line):
    made = recipe_in(line.store, line.artifacts()["filter"])
    words = " ".join(made.conditions)
    assert "collect reads sources from outside" in words
    assert "score reads clip from outside" in words
    assert made.values["score"]["model"].startswith("local-dir:")
    assert made.command.startswith("sdflow stage filter filter-")


def with_config(artifact: Artifact, **changes: Any) -> Artifact:
    manifest = artifact.manifest
    return Artifact(artifact.store, Manifest(**{**vars(manifest), **changes}))


def test_secrets_of_addresses_are_told_to_be_missing(line: Line):
    images = line.artifacts()["collect"]
    config = {"urls": [{"name": "web", "tables": ["https://a.example/t.parquet?…"]}]}
    made = recipe(with_config(images, config=config), {}, "line")
    assert made is not None
    assert "Passwords and queries of addresses are not recorded" in made.conditions[-1]


def test_a_background_is_the_runs(line: Line):
    made = recipe(with_config(line.artifacts()["dedup"], config={"background": "#000000"}), {}, "line")
    assert made is not None
    assert made.values == {"name": "line", "background": "#000000"}
    assert "which this config does not make" in " ".join(made.conditions)


def test_another_dataset_and_another_kind_of_model_are_given_by_name(line: Line):
    own = line.artifacts()
    recorded = {"stage": "average", "fingerprint": "ab" * 32, "digest": "cd" * 32}
    inputs = {**own["evaluate"].manifest.inputs, "model": recorded}
    made = recipe(
        with_config(own["evaluate"], inputs=inputs), {one.fingerprint: one for one in own.values()}, "line"
    )
    assert made is not None
    assert made.options == ("--model average/abababababab",)


def recipe_of(artifact: Artifact) -> Recipe:
    made = recipe(artifact, {}, "line")
    assert made is not None
    return made


def test_image_encoders_and_pseudo_labels_are_named_where_the_config_has_them(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    dataset = filed(store, "datasets/d", {"index.parquet": b""}, "shard")
    encoder = filed(store, "models/eyes", {"model/config.json": b"{}"}, "train")

    @stage(version=1, kind="labels", name="label")
    def told(config: LabelConfig, out: Output) -> Stats:
        return Stats(Funnel(0, 0))

    table = told(LabelConfig(column="kind"), store=store)
    columns = tuple(ClassColumnConfig(column=name, dropout=0.2) for name in ("colour", "kind"))
    config = canonical_config(TrainConfig(conditions=ConditionsConfig(columns=columns)))
    inputs = {
        name: {"stage": one.stage, "fingerprint": one.fingerprint, "digest": one.digest}
        for name, one in {"dataset": dataset, "labels.0": table, "encoders.0": encoder}.items()
    }
    model = with_config(encoder, config=config, inputs=inputs)
    values = recipe_of(model).values["train"]
    assert values["encoder"] == f"train/{short_hash(encoder.fingerprint)}"
    assert values["conditions"]["columns"][1]["pseudo"] == {
        "labels": f"label/{short_hash(table.fingerprint)}"
    }
    assert "pseudo" not in values["conditions"]["columns"][0]
    seen = {"encoders.0": inputs["encoders.0"]}
    latents = with_config(encoder, stage="encode", kind="latents", config={}, inputs=seen)
    values = recipe_of(latents).values["encode"]
    assert values == {"encoder": f"train/{short_hash(encoder.fingerprint)}"}


def test_a_stage_that_is_no_part_of_a_run_has_none(line: Line):
    assert recipe(with_config(line.artifacts()["train"], stage="average"), {}, "line") is None


@pytest.mark.slow
def test_the_command_run_elsewhere_gives_the_same_fingerprint(tmp_path: Path):
    chance = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        pixels = chance.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number}.png")
        (tmp_path / f"pictures/{number}.txt").write_text(f"picture number {number}")
    (tmp_path / "first.yaml").write_text(
        f"name: birds\nbackground: '#102030'\n"
        f"collect: {{folders: [{{name: own, folder: {tmp_path / 'pictures'}}}], workers: 1}}\n"
        "dedup: {max_bits: 2, workers: 1}\nfilter: {min_words: 2}\nshard: {max_side: 32, workers: 1}\n"
    )
    here, there = tmp_path / "here", tmp_path / "elsewhere/store"
    sdflow(tmp_path, "sdflow stage shard first.yaml --upstream", here)
    (dataset,) = artifacts(open_store(str(here)), "shard")
    made = recipe_in(here, dataset, "other")
    there.parent.mkdir()
    (there.parent / made.file_name).write_text(made.text)
    sdflow(there.parent, made.command, there)
    (again,) = artifacts(open_store(str(there)), "shard")
    assert again.fingerprint == dataset.fingerprint
    assert again.digest == dataset.digest
