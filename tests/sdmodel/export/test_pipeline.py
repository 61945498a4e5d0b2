"""Exported models in a process that has none of our packages."""

import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.model import Diffusion
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.export.pipeline import export_pipeline
from sdmodel.latents.autoencoder import load_autoencoder
from sdmodel.latents.space import Space
from sdmodel.noise.interpolation import expand
from sdmodel.sample.ancestral import SeededNoise
from sdmodel.start import read_pipeline
from tests import frozen
from tests.sdmodel.golden.tiny import CONFIG

pytestmark = pytest.mark.slow  # a second process that imports torch and diffusers

CAPTIONS = ["a red half", "a blue half of more than eight tokens <pad>"]
SEEDS = [3, 4]
STOCK = Path(__file__).with_name("stock.py")
ASKED = {"captions": CAPTIONS, "steps": 5, "guidance": 3.0}
CLIP = TextConfig(kind="clip", width=16, heads=2, length=8, vocabulary=300)
SCRATCH = replace(CONFIG, network="unet2d", text=CLIP, noise=NoiseConfig(schedule="linear", prediction="v"))
LATENT = Space(3, 2, (0.3, -2.0, 1.5), (0.4, 3.0, 1.1))


@dataclass(frozen=True)
class Exported:
    """A model, and what the process without our packages has computed with it."""

    model: Diffusion
    folder: Path
    arrays: dict[str, Tensor]
    stock: dict[str, Tensor]


def scattered(model: Diffusion) -> Diffusion:
    """None of the weights is zero, as after a training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


def started(pipeline: Path) -> Diffusion:
    """What a training that starts from a pipeline has come to."""
    objective = DiffusionObjective(replace(CONFIG, network="unet2d"), CAPTIONS * 4, starting=True)
    if (pipeline / "vae").is_dir():  # without cached latents, which would bring it
        objective.latents = pipeline
        objective.modules.space = read_pipeline(pipeline).space
        objective.modules.autoencoder = load_autoencoder(pipeline / "autoencoder")
    objective.start(pipeline)
    return scattered(objective.modules)


def scratch(config: TrainConfig = SCRATCH) -> Diffusion:
    torch.manual_seed(0)
    return scattered(DiffusionObjective(config, CAPTIONS * 4).modules)


def latent(folder: Path) -> Diffusion:
    """From nothing, in latents whose channels are normalised each by itself."""
    model = scratch(replace(SCRATCH, noise=NoiseConfig(schedule="cosine", prediction="epsilon")))
    model.space, model.autoencoder = LATENT, load_autoencoder(frozen.autoencoder(folder))
    return model


def saved(model: Diffusion, folder: Path, autoencoder: Path | None) -> Path:
    folder.mkdir()
    beside = [autoencoder] if autoencoder else []
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    folders.save(folder, model, weights, beside)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    root = tmp_path_factory.mktemp("exported")
    pipeline, two = frozen.pipeline(root / "one"), frozen.second(root / "two")
    for folder in (pipeline, two):
        (folder / "autoencoder").symlink_to(folder / "vae")
    models: dict[str, tuple[Diffusion, Path | None]] = {
        "sd1": (started(pipeline), pipeline / "autoencoder"),
        "sd2": (started(two), two / "autoencoder"),
        "ddpm": (started(frozen.unconditional(root / "ddpm")), None),
        "pixels": (scratch(), None),
        "latents": (latent(root / "latents" / "autoencoder"), root / "latents" / "autoencoder"),
    }
    results: dict[str, tuple[Diffusion, Path, dict[str, Tensor]]] = {}
    request: dict[str, Any] = {}
    for name, (model, autoencoder) in models.items():
        made = saved(model, root / f"{name}-model", autoencoder)
        target = root / f"{name}-stock"
        export_pipeline(made, target)
        model = folders.load(made).eval()
        shape = model.space.shape(16, 16)
        x, picture = torch.randn(2, *shape), torch.rand(2, 3, 16, 16) * 2 - 1
        noise = SeededNoise(SEEDS, shape, torch.device("cpu"))()
        arrays = {"x": x, "timestep": torch.tensor([0, 731]), "noise": noise.contiguous(), "picture": picture}
        file = root / f"{name}.safetensors"
        save_file(arrays, file)
        kind = "DDPMPipeline" if name == "ddpm" else "StableDiffusionPipeline"
        request[str(target)] = {"pipeline": kind, "arrays": str(file)} | ASKED
        results[name] = (model, target, arrays)
    (root / "request.json").write_text(json.dumps(request))
    packages = sysconfig.get_paths()["purelib"]
    command = [sys.executable, "-I", "-S", str(STOCK), packages, str(root / "request.json")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        name: Exported(*result, load_file(root / f"{name}.safetensors.stock"))
        for name, result in results.items()
    }


NAMES = ("sd1", "sd2", "ddpm", "pixels", "latents")


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_stock_unet_predicts_the_same(exported: dict[str, Exported], name: str):
    made = exported[name]
    model = made.model
    condition = model.encode_captions(CAPTIONS)
    if "states" in made.stock:
        torch.testing.assert_close(made.stock["states"], condition.states, rtol=1e-5, atol=1e-5)
    t = model.process.schedule.table[999 - made.arrays["timestep"]]
    x_t = made.arrays["x"] * expand(torch.hypot(t, 1 - t), made.arrays["x"])
    predicted = model.network(x_t, t, condition)
    torch.testing.assert_close(made.stock["predicted"], predicted, rtol=1e-5, atol=1e-5)
    assert predicted.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_the_stock_pipeline_draws_the_same_pictures(exported: dict[str, Exported], name: str):
    made = exported[name]
    sampling = SamplingConfig(sampler="ddim", steps=5, guidance=3.0)
    pictures = TextToImage(made.model).sample(CAPTIONS, SEEDS, sampling)
    error = (made.stock["pictures"].clamp(0, 1) - (pictures / 2 + 0.5)).abs().max()
    assert error < 1e-4
    assert pictures.std() > 0.05


@pytest.mark.parametrize("name", ["sd1", "sd2", "pixels", "latents"])
@torch.no_grad()
def test_the_stock_autoencoder_gives_the_arrays_of_the_space(exported: dict[str, Exported], name: str):
    made = exported[name]
    expected = made.model.target(made.arrays["picture"])
    torch.testing.assert_close(made.stock["encoded"], expected, rtol=1e-4, atol=1e-4)


def test_the_folder_is_that_of_a_pipeline(exported: dict[str, Exported]):
    folder = exported["sd1"].folder
    index = json.loads((folder / "model_index.json").read_text())
    assert index["safety_checker"] == [None, None]
    assert index["tokenizer"] == ["transformers", "CLIPTokenizer"]
    names = {
        path.relative_to(exported["sd1"].folder).as_posix() for path in exported["sd1"].folder.rglob("*.*")
    }
    assert names >= {
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "vae/diffusion_pytorch_model.safetensors",
    }
    # Schedules are as they were taught, classes and all, and a training may start from the folder.
    for name, scheduler in (("sd1", "DDIMScheduler"), ("ddpm", "DDPMScheduler"), ("pixels", "DDPMScheduler")):
        schedule = json.loads((exported[name].folder / "scheduler/scheduler_config.json").read_text())
        assert schedule["_class_name"] == scheduler
        taught = exported[name].model.process.schedule.settings
        assert taught is not None
        assert {key: schedule[key] for key in taught if key[0] != "_"} == {
            key: value for key, value in taught.items() if key[0] != "_"
        }
        assert read_pipeline(exported[name].folder).conditional == (name != "ddpm")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "unet"}, "train.network='unet' is a denoiser of this project"),
        ({"noise": NoiseConfig()}, "straight path"),
        ({"noise": NoiseConfig(schedule="linear", prediction="velocity")}, "'velocity' is none that"),
        ({"text": replace(CLIP, kind="transformer")}, r"text\.kind: clip"),
        ({"texts": (CLIP,)}, r"text\.kind: clip"),
        ({"size": 12}, "multiples of 8"),
    ],
)
def test_what_no_stock_pipeline_computes_is_refused(change: dict[str, Any], words: str, tmp_path: Path):
    made = saved(scratch(replace(SCRATCH, **change)), tmp_path / "model", None)
    with pytest.raises(ValueError, match=rf"{words}.*sdmodel\.load"):
        export_pipeline(made, tmp_path / "target")
    assert not (tmp_path / "target").exists()
