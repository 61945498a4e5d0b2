"""`sdflow export --to diffusers`: a model in a store as a folder of a stock pipeline."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sdmodel
from sdmodel import lora
from sdmodel.config.learning import LoraConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.objectives import objective_of
from stages.artifacts.artifact import Funnel
from stages.artifacts.reference import refer, resolve
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import open_store
from tests import frozen
from tests.sdmodel.golden.tiny import CONFIG

Told = Callable[..., tuple[int, str, str]]
STOCK = replace(
    CONFIG,
    network="unet2d",
    text=TextConfig(kind="clip", width=16, heads=2, length=8, vocabulary=300),
    noise=NoiseConfig(schedule="linear", prediction="epsilon"),
)

LORA = replace(
    CONFIG,
    network="unet2d",
    start="elsewhere",
    text=TextConfig(width=8, heads=2, queries=2, length=8, vocabulary=300),
    lora=LoraConfig(rank=2, targets=("to_q", "q_proj"), merge=False),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With models that have not been trained, and a result that is no model."""
    folder = str(tmp_path_factory.mktemp("export") / "store")

    @stage(version=1, kind="model", name="train")
    def untrained(config: TrainConfig, out: Output) -> Stats:
        torch.manual_seed(0)
        objective = objective_of(config, ["a red square"] * 2)
        weights = {name: value.contiguous() for name, value in objective.modules.state_dict().items()}
        objective.save(out.write("model/any").parent, weights)
        return Stats(Funnel(7, 7), {"objective": "diffusion"})

    @stage(version=1, kind="model", name="train")
    def low_rank(config: TrainConfig, out: Output) -> Stats:
        objective = DiffusionObjective(config, ["red"], starting=True)
        objective.start(frozen.pipeline(out.folder / "start", latent=False))
        lora.inject(objective.modules, config.lora)
        weights = {name: value.contiguous() for name, value in objective.modules.state_dict().items()}
        model = out.write("model/any").parent
        objective.save(model, lora.published(objective.modules, weights, config.lora, model))
        return Stats(Funnel(7, 7), {"objective": "diffusion"})

    @stage(version=1, kind="picture", name="draw")
    def other(config: TrainConfig, out: Output) -> Stats:
        out.write("picture.txt").write_text("a square")
        return Stats(Funnel(1, 1))

    opened = open_store(folder)
    refer(opened, "models/stock", untrained(STOCK, store=opened))
    refer(opened, "models/ours", untrained(CONFIG, store=opened))
    refer(opened, "models/stock-lora", low_rank(LORA, store=opened))
    refer(opened, "pictures/one", other(CONFIG, store=opened))
    return folder


def test_a_model_goes_out_as_a_pipeline(sdflow: Told, store: str, tmp_path: Path):
    folder = tmp_path / "pipeline"
    status, _, error = sdflow("export", "models/stock", folder, "--to", "diffusers", "--store", store)
    assert status == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert f"{len(files)} files" in error
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    assert 'DiffusionPipeline.from_pretrained("FOLDER")' in (folder / "README.md").read_text()
    status, _, error = sdflow("export", "models/stock", folder, "--to", "diffusers", "--store", store)
    assert (status, "holds something already" in error) == (2, True)


def test_changes_that_were_kept_apart_go_out_as_a_lora(sdflow: Told, store: str, tmp_path: Path):
    folder = tmp_path / "lora"
    command = ("export", "models/stock-lora", folder, "--to", "diffusers", "--store", store)
    status, _, error = sdflow(*command)
    assert status == 0, error
    assert (folder / "pytorch_lora_weights.safetensors").exists()
    assert (folder / "unet_adapter/adapter_config.json").exists()
    assert not (folder / "model_index.json").exists()
    assert 'pipe.load_lora_weights("FOLDER")' in (folder / "README.md").read_text()


def test_what_diffusers_does_not_have_is_refused(sdflow: Told, store: str, tmp_path: Path):
    for what, words in (
        ("models/ours", "train.network='unet' is a denoiser of this project"),
        ("pictures/one", "is no model; leave --to out"),
    ):
        status, _, error = sdflow("export", what, tmp_path / "none", "--to", "diffusers", "--store", store)
        assert status == 2
        assert words in error
        assert not (tmp_path / "none").exists()
    assert sdflow("export", "pictures/one", tmp_path / "plain", "--store", store)[0] == 0
    assert (tmp_path / "plain/picture.txt").read_text() == "a square"


def test_an_export_that_fails_leaves_nothing(sdflow: Told, store: str, tmp_path: Path):
    copied = shutil.copytree(store, tmp_path / "store")
    weights = resolve(open_store(str(copied)), "models/ours").path("model/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        status, _, error = sdflow("export", "models/ours", folder, "--store", copied)
        assert (status, "model.safetensors" in error) == (1, True)
    assert {path.name for path in tmp_path.iterdir()} == {"store", "empty"}
    assert not list((tmp_path / "empty").iterdir())


def test_our_own_network_loads_from_the_folder_that_is_exported(sdflow: Told, store: str, tmp_path: Path):
    folder = tmp_path / "ours"
    assert sdflow("export", "models/ours", folder, "--store", store)[0] == 0
    model = sdmodel.load(folder)
    assert isinstance(model, TextToImage)
    assert model.sample(["a red square"], [0]).shape == (1, 3, CONFIG.size, CONFIG.size)
    card = (folder / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "sdmodel"')
    assert "Sources and licences: not recorded." in card
