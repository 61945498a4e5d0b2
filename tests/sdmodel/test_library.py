"""The package as a library: parts of a caller's own, saved and loaded again."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import sdmodel
from sdmodel import library
from sdmodel.condition import Condition
from sdmodel.config.learning import EmaConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.diffusion.own import OwnParts
from sdmodel.objectives import objective_of
from sdmodel.text.encoder import TextEncoder
from tests import frozen
from tests.sdmodel.golden import tiny

CONFIG = replace(tiny.CONFIG, images=16, checkpoint_every=8)


class Network(nn.Module):
    """A convolution, moved by the caption."""

    def __init__(self, *, channels: int, pooled_width: int, token_width: int) -> None:
        super().__init__()
        self.conv, self.shift = nn.Conv2d(channels, channels, 3, padding=1), nn.Linear(pooled_width, channels)

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        return self.conv(x_t) + self.shift(condition.pooled)[:, :, None, None]


class Letters(nn.Module):
    """Captions by their first letter. What is inside is named as our own encoders' weights are."""

    padded = False
    readers = ()
    pooled_width = token_width = 4

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([nn.Embedding(256, 4)])

    def encode_captions(self, captions: list[str], dropped: Tensor | None = None) -> Condition:
        ids = torch.tensor([ord(caption[0]) % 256 if caption else 0 for caption in captions])
        pooled = self.encoders[0](ids if dropped is None else torch.where(dropped, 0, ids))
        return Condition(pooled, pooled[:, None], torch.ones(len(ids), 1, dtype=torch.bool))


class Brightness(nn.Module):
    """Learns the mean of all pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(3))

    def forward(self, batch: sdmodel.Batch) -> dict[str, Tensor]:
        return {"squared": (batch.images.mean((2, 3)) - self.mean).square().mean()}


BOTH = {"network": Network, "condition": Letters}


@pytest.mark.parametrize("parts", [{"network": Network}, {"condition": Letters}, BOTH])
def test_own_parts_draw_the_same_when_loaded_again(parts: dict[str, Any], tmp_path: Path):
    torch.manual_seed(0)
    objective = DiffusionObjective(CONFIG, ["red", "blue"], own=OwnParts(**parts))
    with torch.no_grad():
        for parameter in objective.modules.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    weights = {name: value.clone().contiguous() for name, value in objective.modules.state_dict().items()}
    objective.save(tmp_path, weights)
    model = library.load(tmp_path, **parts)
    assert isinstance(model, TextToImage)
    drawn = TextToImage(objective.modules).sample(["red", "blue"], [0, 1])
    torch.testing.assert_close(model.sample(["red", "blue"], [0, 1]), drawn, rtol=0, atol=0)
    assert json.loads((tmp_path / "config.json").read_text())["model"]["own"] == sorted(parts)

    again = DiffusionObjective(CONFIG, ["green"], own=OwnParts(**parts))
    again.start(tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in again.modules.state_dict().items())
    with pytest.raises(ValueError, match=f"classes that its maker brought.*{sorted(parts)[0]}=YOURS"):
        library.load(tmp_path)


def test_a_model_of_ours_takes_no_parts(tmp_path: Path):
    torch.manual_seed(0)
    objective = DiffusionObjective(CONFIG, ["red"])
    objective.save(
        tmp_path, {name: value.contiguous() for name, value in objective.modules.state_dict().items()}
    )
    assert isinstance(library.load(tmp_path), TextToImage)
    with pytest.raises(ValueError, match="this model has its own network; pass none"):
        library.load(tmp_path, network=Network)
    with pytest.raises(ValueError, match="leave objective out"):
        library.load(tmp_path, objective=Brightness)


def indexed(dataset: Any, folder: Path) -> Path:
    """The dataset's index in a folder, its tars beside it under the names that it has for them."""
    for name, tar in dataset.tars.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(tar)
    index = folder / "index.parquet"
    index.write_bytes(dataset.index.read_bytes())
    return index


@pytest.mark.slow
def test_an_objective_learns_and_is_loaded_again(dataset: Any, tmp_path: Path):
    index = indexed(dataset, tmp_path)
    messages: list[Any] = []
    config = replace(CONFIG, images=160)
    folder = library.fit(config, index, tmp_path / "run", objective=Brightness, report=messages.append)
    losses = [message["loss"] for message in messages if "loss" in message]
    assert losses[-1] < losses[0]
    model = library.load(folder, objective=Brightness)
    assert isinstance(model, Brightness)
    assert torch.equal(model.mean, load_file(folder / "model.safetensors")["mean"])
    assert not model.training

    with pytest.raises(ValueError, match=r"objective=YOURS"):
        library.load(folder)
    with pytest.raises(ValueError, match="weights are of another module"):
        library.load(folder, objective=lambda: nn.Linear(2, 2))
    before = len(messages)
    assert (
        library.fit(config, index, tmp_path / "run", objective=Brightness, report=messages.append) == folder
    )
    assert len(messages) == before  # it was there
    with pytest.raises(ValueError, match="another config or index"):
        library.fit(replace(config, seed=1), index, tmp_path / "run", objective=Brightness)
    with pytest.raises(ValueError, match="objective and network"):
        library.fit(config, index, tmp_path / "b", objective=Brightness, network=Network)
    with pytest.raises(ValueError, match='takes no network of yours; set it to "diffusion"'):
        library.fit(replace(config, objective="autoencoder"), index, tmp_path / "c", network=Network)
    with pytest.raises(ValueError, match="processes=2"):
        library.fit(replace(config, processes=2), index, tmp_path / "d")


@pytest.mark.parametrize("curve", ["autoencoder", "selfsupervised", "text", "contrastive"])
def test_folders_of_other_objectives(curve: str, tmp_path: Path):
    torch.manual_seed(0)
    objective = objective_of(tiny.config_of(curve), ["red", "blue"])
    objective.save(
        tmp_path, {name: value.clone().contiguous() for name, value in objective.modules.state_dict().items()}
    )
    if curve == "contrastive":
        with pytest.raises(ValueError, match=r"open_clip\.create_model_and_transforms"):
            library.load(tmp_path)
        return
    model: Any = library.load(tmp_path)
    assert not model.training
    match curve:
        case "autoencoder":
            assert model.encode(torch.zeros(1, 3, 16, 16)).latent_dist.mean.shape[1] == 2
        case "selfsupervised":
            assert model(torch.zeros(1, 3, 16, 16)).ndim == 2
        case _:
            assert isinstance(model, TextEncoder)
            assert model.encode_captions(["red"]).states.shape[-1] == 16


@pytest.mark.slow
def test_rates_follow_the_pipeline_that_it_starts_from(dataset: Any, tmp_path: Path):
    start = frozen.pipeline(tmp_path / "start", latent=False)
    config = TrainConfig(
        network="unet2d",
        size=16,
        images=8,
        batch=4,
        start=str(start),
        optimizer=OptimizerConfig(warmup=0),
        ema=EmaConfig(half_life=1, ramp=1.0),
    )
    folder = library.fit(config, indexed(dataset, tmp_path), tmp_path / "training")
    learned = json.loads((folder / "config.json").read_text())["training"]["optimizer"]
    assert (learned["kind"], learned["adam_rate"]) == ("adamw", 1e-5)
    drawn, stock = library.load(folder), DiffusionObjective(replace(config, start=""), ["red"], starting=True)
    stock.start(start)
    assert isinstance(drawn, TextToImage)
    moved = [
        (own - taught).abs().max().item()
        for own, taught in zip(
            drawn.model.network.parameters(), stock.modules.network.parameters(), strict=True
        )
    ]
    assert 0 < max(moved) < 1e-4  # a step of Muon at its rate from nothing is a hundred times as long


def test_folders_of_nothing_and_of_other_libraries(tmp_path: Path):
    with pytest.raises(ValueError, match="no model that is known"):
        library.load(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match=r"DiffusionPipeline\.from_pretrained"):
        library.load(tmp_path)


def test_the_package_costs_nothing_until_it_is_used():
    program = (
        "import sys, sdmodel; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules); "
        "assert 'fit' in dir(sdmodel); sdmodel.TrainConfig; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert sdmodel.TrainConfig is TrainConfig
    with pytest.raises(AttributeError, match="nothing"):
        _ = sdmodel.nothing
