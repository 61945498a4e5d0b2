"""Trainings that start from a pipeline's folder, in the layout of Stable Diffusion."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from transformers import CLIPTextModel

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.data.batch import Batch
from sdmodel.diffusion.generate import load
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.train.run import run
from tests import frozen
from tests.sdmodel.diffusion import cached
from tests.sdmodel.diffusion.test_latent import CONFIG
from tests.sdmodel.golden.tiny import job

WARM = replace(CONFIG, network="unet2d", images=8)
QUICK = SamplingConfig(steps=2)
STILL = replace(WARM, optimizer=OptimizerConfig(adam_rate=0.0, muon_rate=0.0))
"""Learns nothing."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen.pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def latents(dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the pipeline's own encoders."""
    return cached.write(tmp_path_factory.mktemp("latents"), dataset)


def unet_of(folder: Path) -> dict[str, torch.Tensor]:
    kind: Any = diffusers.UNet2DConditionModel  # pyright: ignore
    return kind.from_pretrained(folder / "unet").state_dict()


def test_what_learned_nothing_is_the_pipeline_itself(
    dataset: Any, pipeline: Path, latents: Path, tmp_path: Path
):
    run(job(tmp_path / "training", dataset, STILL, latents=latents, start=pipeline))
    folder = tmp_path / "training/model"
    model = load(folder)
    network: Any = model.model.network
    held = network.unet.state_dict()
    for name, value in unet_of(pipeline).items():
        assert torch.equal(held[name], value)
    # Latents are scaled as the pipeline was taught, not as this dataset measures.
    kind: Any = diffusers.AutoencoderKL  # pyright: ignore
    scale = kind.from_pretrained(pipeline / "vae").config.scaling_factor
    assert model.model.space.deviation == pytest.approx((1 / scale,) * 3)
    assert model.sample(["red"], [0], QUICK).shape == (1, 3, 16, 16)

    # What was made of it is something to start from, too.
    run(job(tmp_path / "second", dataset, WARM, latents=latents, start=folder))
    after = load(tmp_path / "second/model").model
    moved = [
        name
        for name, value in after.state_dict().items()
        if not torch.equal(value, model.model.state_dict()[name])
    ]
    assert "network.unet.conv_in.weight" in moved
    assert after.space == model.model.space


def test_its_text_encoder_learns_where_no_text_is_cached(dataset: Any, pipeline: Path, tmp_path: Path):
    latents = cached.write(tmp_path / "latents", dataset, words=False)
    run(job(tmp_path / "training", dataset, WARM, latents=latents, start=pipeline))
    folder = tmp_path / "training/model"
    before, after = (
        CLIPTextModel.from_pretrained(one / "text_encoder").state_dict() for one in (pipeline, folder)
    )
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "autoencoder", "text_encoder", "tokenizer"
    }  # fmt: skip
    assert load(folder).sample(["red"], [0], QUICK).shape == (1, 3, 16, 16)
    frozen_text = replace(WARM, optimizer=OptimizerConfig(frozen=("text.",)))
    run(job(tmp_path / "again", dataset, frozen_text, latents=latents, start=folder))
    again = CLIPTextModel.from_pretrained(tmp_path / "again/model/text_encoder").state_dict()
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_a_pipeline_of_pixels_needs_no_latents(dataset: Any, tmp_path: Path):
    folder = frozen.pipeline(tmp_path / "pixels", prediction="v_prediction", latent=False)
    run(job(tmp_path / "training", dataset, WARM, start=folder))
    made = tmp_path / "training/model"
    assert load(made).sample(["red"], [0], QUICK).shape == (1, 3, 16, 16)
    run(job(tmp_path / "again", dataset, WARM, start=made))
    load(tmp_path / "again/model")


def test_an_unconditional_pipeline_learns_pictures_alone(
    dataset: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = frozen.unconditional(tmp_path / "ddpm", flat=True)
    run(job(tmp_path / "training", dataset, WARM, start=folder))
    assert capsys.readouterr().out.count("reads no captions") == 1
    made = tmp_path / "training/model"
    model = load(made)
    red, blue = model.sample(["red", "blue"], [0, 0], QUICK)
    assert torch.equal(red, blue)
    assert model.sample(["red"], [0], QUICK, size=(10, 6)).shape == (1, 3, 10, 6)
    with pytest.raises(ValueError, match=r"7x10 pixels.* multiples of 2"):
        model.sample(["red"], [0], QUICK, size=(10, 7))
    run(job(tmp_path / "again", dataset, WARM, start=made))
    assert load(tmp_path / "again/model").model.sampling.guidance == 1


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@torch.no_grad()
def test_the_loss_is_that_of_diffusers_example(prediction: str, tmp_path: Path):
    """The mean squared error of what the pipeline predicts, at timesteps of which each is as likely."""
    folder = frozen.pipeline(tmp_path, prediction=prediction, latent=False)
    torch.manual_seed(0)
    objective = DiffusionObjective(replace(WARM, caption_dropout=0.0), ["red"], starting=True)
    objective.start(folder)
    model, rows = objective.modules.eval(), 16
    captions = ["red", "a blue half"] * 8
    batch = Batch(
        images=torch.randn(rows, 3, 16, 16), captions=captions, uids=captions,
        index=torch.arange(rows), size=rows, start=0, seed=3,
    )  # fmt: skip
    kinds: Any = diffusers
    unet = kinds.UNet2DConditionModel.from_pretrained(folder / "unet")
    scheduler = kinds.DDPMScheduler.from_pretrained(folder / "scheduler")
    noise = model.process.noise(batch, batch.images.shape[1:])
    timesteps = model.process.schedule.timestep(model.process.times(batch, 16 * 16))
    assert torch.equal(timesteps, timesteps.round())
    # One of each sixteenth: a batch is stratified.
    assert sorted((timesteps // 62.5).int().tolist()) == list(range(rows))
    timesteps = timesteps.long()
    noisy = scheduler.add_noise(batch.images, noise, timesteps)
    target = noise if prediction == "epsilon" else scheduler.get_velocity(batch.images, noise, timesteps)
    states = model.encode_captions(captions).states
    expected = torch.nn.functional.mse_loss(unet(noisy, timesteps, states).sample, target)
    torch.testing.assert_close(model(batch)["denoising"], expected, rtol=1e-6, atol=1e-6)


def test_what_does_not_belong_together_is_refused(
    dataset: Any, pipeline: Path, latents: Path, tmp_path: Path
):
    unconditional = frozen.unconditional(tmp_path / "ddpm")
    with pytest.raises(ValueError, match=r"9x9 pixels.* multiples of 2"):
        run(job(tmp_path / "e", dataset, replace(WARM, size=9), start=unconditional))
    words = cached.write(tmp_path / "words", dataset, pictures=False)
    with pytest.raises(ValueError, match=r"reads no captions; leave encode\.text empty"):
        run(job(tmp_path / "d", dataset, WARM, latents=words, start=unconditional))
    with pytest.raises(ValueError, match=r'set train\.network to "unet2d"'):
        run(job(tmp_path / "a", dataset, replace(WARM, network="dit"), latents=latents, start=pipeline))
    with pytest.raises(ValueError, match=r"set encode\.autoencoder to this folder"):
        run(job(tmp_path / "b", dataset, WARM, start=pipeline))
    other = frozen.pipeline(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="other weights than those of autoencoder"):
        run(job(tmp_path / "c", dataset, WARM, latents=latents, start=other))
