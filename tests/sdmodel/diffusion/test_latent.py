"""Trainings on what frozen encoders cached: every denoiser, from the job to pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from sdmodel.config.learning import DataConfig, LoraConfig, ValidationConfig
from sdmodel.config.model import DiTConfig, Network, UNet2DConfig, UNetConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.pixels import to_float
from sdmodel.diffusion.denoising_errors import denoising_errors
from sdmodel.diffusion.generate import load
from sdmodel.train.run import run
from tests.sdmodel.diffusion import cached
from tests.sdmodel.golden.tiny import job

NETWORKS = get_args(Network)
CONFIG = TrainConfig(
    images=24,
    batch=8,
    size=cached.SIZE,
    processes=1,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    unet2d=UNet2DConfig(channels=(8, 16), attention=(False, True), blocks=1, head_width=8, groups=4),
    dit=DiTConfig(width=16, layers=1, heads=2),
    validation=ValidationConfig(every=24, rows=8),
)


@pytest.fixture(scope="module")
def latents(dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of pictures and captions."""
    return cached.write(tmp_path_factory.mktemp("latents"), dataset)


@pytest.mark.parametrize("network", NETWORKS)
def test_latents_are_learned_and_come_back_as_pictures(
    network: Any, dataset: Any, latents: Path, tmp_path: Path
):
    config = replace(CONFIG, network=network, data=DataConfig(flip=True))
    run(job(tmp_path / "first", dataset, config, latents=latents))
    folder = tmp_path / "first/model"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "autoencoder", "text_encoder", "tokenizer"
    }  # fmt: skip
    assert {name.split(".")[0] for name in load(folder).model.state_dict()} == {"network"}

    # It draws without the cache, and what it draws is measured in latents.
    model = load(folder)
    pictures = model.sample(["red", "blue"], [0, 1], SamplingConfig(steps=2))
    assert pictures.shape == (2, 3, 16, 16)
    assert pictures.std() > 0
    if network != "unet":
        assert model.sample(["red"], [0], SamplingConfig(steps=2), size=(16, 24)).shape == (1, 3, 16, 24)
    errors = denoising_errors(model, torch.rand(4, 3, 16, 16) * 2 - 1, ["a", "b", "c", "d"])
    assert errors["mse"] > 0

    # A training that starts from it starts with its weights, in its space.
    again = replace(config, images=8, optimizer=replace(config.optimizer, adam_rate=0.0, muon_rate=0.0))
    run(job(tmp_path / "second", dataset, again, latents=latents, start=folder))
    other = load(tmp_path / "second/model")
    assert other.model.space == model.model.space
    for name, value in model.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], value)


def test_text_alone_may_be_cached(dataset: Any, tmp_path: Path):
    folder = tmp_path / "latents"
    cached.write(folder, dataset, pictures=False)
    run(job(tmp_path / "training", dataset, CONFIG, latents=folder))
    model = tmp_path / "training/model"
    assert {path.name for path in model.iterdir()} == {
        "config.json", "model.safetensors", "text_encoder", "tokenizer"
    }  # fmt: skip
    assert load(model).sample(["red"], [0], SamplingConfig(steps=2)).shape == (1, 3, 16, 16)


def test_latents_alone_may_be_cached(dataset: Any, tmp_path: Path):
    folder = cached.write(tmp_path / "latents", dataset, words=False)
    run(job(tmp_path / "training", dataset, CONFIG, latents=folder))
    model = load(tmp_path / "training/model")
    assert {name.split(".")[0] for name in model.model.state_dict()} == {"text", "network"}
    rows = [json.loads(line) for line in (tmp_path / "training/metrics.jsonl").read_text().splitlines()]
    assert 0 < rows[-1]["validation/ema/mse"] < 3  # of latents whose variance is 1


def test_what_does_not_fit_is_refused(dataset: Any, latents: Path, tmp_path: Path):
    run(job(tmp_path / "latent", dataset, CONFIG, latents=latents))
    model = tmp_path / "latent/model"
    with pytest.raises(ValueError, match=r"space.*must agree"):
        run(job(tmp_path / "a", dataset, CONFIG, start=model))
    other = cached.write(tmp_path / "other", dataset, seed=1)
    with pytest.raises(ValueError, match="other weights than those of"):
        run(job(tmp_path / "b", dataset, CONFIG, latents=other, start=model))
    cropped = replace(CONFIG, data=DataConfig(crop=True))
    with pytest.raises(ValueError, match="needs pixels"):
        run(job(tmp_path / "c", dataset, cropped, latents=latents))
    without_words = replace(CONFIG, objective="selfsupervised")
    with pytest.raises(ValueError, match='cached latents are for "diffusion"'):
        run(job(tmp_path / "d", dataset, without_words, latents=latents))


def test_low_rank_changes_draw_the_same_merged_and_apart(dataset: Any, latents: Path, tmp_path: Path):
    config = replace(CONFIG, network="dit", images=8)
    run(job(tmp_path / "whole", dataset, config, latents=latents))
    start = tmp_path / "whole/model"
    before = load(start).model.state_dict()
    drawn: list[torch.Tensor] = []
    for merge in (True, False):
        changed = replace(
            config,
            images=24,
            start="models/base@1",
            lora=LoraConfig(rank=2, targets=("query", "out"), merge=merge),
        )
        folder = tmp_path / str(merge)
        run(job(folder, dataset, changed, latents=latents, start=start))
        assert (folder / "model/adapter").is_dir() != merge
        model = load(folder / "model")
        drawn.append(model.sample(["red"], [0], SamplingConfig(steps=2)))
        after = model.model.state_dict()
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert moved
        assert all(name.endswith((".query.weight", ".out.weight")) for name in moved), moved
    torch.testing.assert_close(drawn[0], drawn[1])


def test_the_empty_caption_is_the_one_that_samples_are_drawn_with(dataset: Any, latents: Path):
    """Dropped captions of cached states are replaced by what guidance moves away from."""
    from sdmodel.data.batch import Batch
    from sdmodel.diffusion.objective import DiffusionObjective

    model = DiffusionObjective(CONFIG, ["red"], latents).modules
    told = model.encode_captions(["red", "blue"])
    batch = Batch(
        images=to_float(torch.zeros(2, 6, 8, 8)), captions=["red", "blue"], uids=["a", "b"],
        index=torch.arange(2), size=2, start=0, text=told,
    )  # fmt: skip
    found = model.condition(batch, torch.tensor([True, False]))
    torch.testing.assert_close(found.states[0], model.encode_captions([""]).states[0])
    torch.testing.assert_close(found.states[1], told.states[1])
    torch.testing.assert_close(found.pooled[0], model.encode_captions([""]).pooled[0])
    model.network.to("meta")  # as it is on its way to where it is trained
    assert model.empty.states.device == torch.device("meta")


def test_a_training_on_cached_states_leaves_the_text_encoder_alone(
    dataset: Any, latents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: Any) -> None:
        raise AssertionError("a text encoder works")

    monkeypatch.setattr("sdmodel.text.pipeline.PipelineTextEncoder.encode_captions", refused)
    assert run(job(tmp_path / "training", dataset, replace(CONFIG, network="dit"), latents=latents))
