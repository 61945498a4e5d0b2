"""`sdflow average`: from a model that kept its averages to another one, under a name of its own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from flows.evaluate_model import trained_on
from flows.run.local import result_of
from flows.run.terminal import Terminal
from flows.step import Result
from flows.steps import STEPS
from sdmodel.config.learning import EmaConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import load
from sdmodel.objectives import objective_of
from sdmodel.train.ema import WeightAverages
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer, references, resolve
from stages.config.run import Run
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[[Path], Run]) -> Run:
    """Whose model has not been trained, but has kept averages after 100 and 200 images."""
    run = tiny_run(tmp_path_factory.mktemp("average") / "store")
    run = replace(run, train=replace(run.train, ema=EmaConfig(lengths=(0.05, 0.1))))
    dataset = result_of(STEPS, "shard", run, Terminal(), upstream=True)

    @stage(version=1, kind="model", name="train")
    def kept(dataset: Artifact, start: None, latents: None, config: TrainConfig, out: Output) -> Stats:
        torch.manual_seed(0)
        objective = objective_of(config, ["a red square"])
        averages = WeightAverages(objective.modules, config.ema, config.batch)
        for images in (100, 200):
            now = {key: (value * (1 + images / 1000)).contiguous() for key, value in averages.state().items()}
            save_file(now, out.write(f"checkpoints/{images:09d}/averages.safetensors"))
        objective.save(out.write("model/any").parent, averages.weights())
        return Stats(Funnel(7, 7), {"objective": "diffusion"})

    opened = open_store(run.store)
    refer(opened, "models/tiny", kept(dataset, None, None, run.train, store=opened))
    return run


@pytest.fixture
def store(run: Run) -> Store:
    return open_store(run.store)


@pytest.fixture
def sdflow(sdflow: Told, run: Run) -> Told:
    """Run a command on the store: status, standard output, standard error."""
    return lambda *arguments: sdflow(*arguments, "--store", run.store)


def test_it_is_filed_beside_the_model(sdflow: Told, store: Store):
    status, out, error = sdflow("average", "models/tiny@latest", "--length", "0.2", "--json")
    assert status == 0
    assert "filed under models/tiny-0.2" in error
    told = json.loads(out)
    made: Artifact = resolve(store, "models/tiny-0.2")
    source = resolve(store, "models/tiny")
    assert made.fingerprint == told["fingerprint"]
    assert (told["stage"], told["kind"], told["config"]) == ("average", "model", {"length": 0.2})
    assert told["inputs"]["model"]["fingerprint"] == source.fingerprint
    assert told["statistics"]["images"] == 200

    again = json.loads(sdflow("average", "models/tiny@1", "--length", "0.2", "--json")[1])
    assert again["cached"] is True
    assert len(references(store, "models/tiny-0.2")) == 1


def test_a_model_leaves_the_store_as_a_folder(sdflow: Told, store: Store, tmp_path: Path):
    status, _, error = sdflow("export", "models/tiny", str(tmp_path / "out"))
    assert status == 0
    model = resolve(store, "models/tiny")
    held = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert held == ["README.md", *(name.removeprefix("model/") for name in model.names("model/"))]
    assert load(tmp_path / "out").model.device.type == "cpu"
    assert f"{len(held)} files of train/" in error
    status, _, error = sdflow("export", "models/tiny", str(tmp_path / "out"))
    assert (status, "holds something already" in error) == (2, True)


def test_it_may_end_earlier_and_be_called_something(sdflow: Told, store: Store):
    status, out, _ = sdflow("average", "models/tiny", "--length", "0.1", "--images", "100")
    assert status == 0
    assert out.startswith("average/")
    assert resolve(store, "models/tiny-0.1-100").statistics["images"] == 100
    fingerprint = resolve(store, "models/tiny").fingerprint
    sdflow("average", fingerprint[:12], "--length", "0.1", "--name", "robins")
    assert resolve(store, "models/robins@1").statistics["length"] == 0.1


def test_it_is_a_model_like_others(sdflow: Told, run: Run, store: Store, tmp_path: Path):
    sdflow("average", "models/tiny", "--length", "0.1", "--name", "other")
    made = resolve(store, "models/other")
    status, _, error = sdflow(
        "generate", "models/other", "a", "--steps", "1", "--out", str(tmp_path / "a.png")
    )
    assert status == 0, error
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 8

    # The dataset of its model is its own, and so are the pictures in that.
    dataset = trained_on(Result.of(made, run.store))
    assert dataset.stage == "shard"
    index = dataset.open().table("index")
    uid = index[index["split"] == "train"]["uid"].iloc[0]
    events = json.loads(sdflow("trace", uid, "--json")[1])["rows"][0]["events"]
    assert [one["stage"] for one in events if "models/other@1" in one["references"]] == ["average"]

    chosen = {"samples": 2, "validation_rows": 2, "sampling": {"steps": 1}, "device": "cpu"}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "judged", "evaluate": chosen}))
    named = ("--model", "models/other", "--dataset", "datasets/tiny")
    status, out, error = sdflow("stage", "evaluate", str(config), *named, "--json")
    assert status == 0, error
    assert json.loads(out)["inputs"]["model"]["fingerprint"] == made.fingerprint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models/tiny"], ["--length"]),
        (["models/tiny", "--length", "0.5"], ["length=0.5", "0.289"]),
        (["models/tiny", "--length", "0.1", "--images", "300"], ["images=300", "1 to 200"]),
        (["models/tiny", "--length", "0.1", "--name", "Big Birds"], ["'Big Birds' is no name"]),
        (["models/none", "--length", "0.1"], ["models/none", "models/tiny"]),
        (["train/{fingerprint}", "--length", "0.1"], ["--name"]),
    ],
)
def test_wrong_input_is_one_line_and_a_status(
    sdflow: Told, store: Store, arguments: list[str], words: list[str]
):
    fingerprint = resolve(store, "models/tiny").fingerprint
    status, out, error = sdflow("average", *(one.format(fingerprint=fingerprint) for one in arguments))
    assert (status, out) == (2, "")
    assert error.startswith("sdflow: ")
    assert len(error.splitlines()) == 1
    for word in words:
        assert word in error
