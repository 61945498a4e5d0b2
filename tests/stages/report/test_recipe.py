"""A recipe's config asks for just the artifact that it is of."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.config.file import read_run
from flows.steps import STEPS
from stages.artifacts.artifact import Artifact, Manifest, artifacts
from stages.fingerprint import canonical_config, request_fingerprint
from stages.report.recipe import Recipe, recipe, run_stages
from stages.store import open_store
from tests.conftest import Line

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


def with_config(artifact: Artifact, **changes: object) -> Artifact:
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
