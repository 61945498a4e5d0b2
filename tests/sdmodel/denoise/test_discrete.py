"""A Stable Diffusion's UNet behind our protocol says what diffusers says of it."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from sdmodel.denoise.discrete import DiscreteDenoiser

from sdmodel.condition import Condition
from sdmodel.noise.interpolation import interpolate
from sdmodel.start import load_unet, read_pipeline
from tests import frozen


def told(batch: int) -> Condition:
    torch.manual_seed(1)
    states = torch.randn(batch, 8, 8)
    return Condition(torch.randn(batch, 8), states, torch.ones(batch, 8, dtype=torch.bool))


def network(folder: Path) -> DiscreteDenoiser:
    pipeline = read_pipeline(folder)
    made = DiscreteDenoiser(pipeline.unet, pipeline.schedule, 8)
    load_unet(folder, made)
    return made.eval()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@torch.no_grad()
def test_the_estimate_is_that_of_diffusers_scheduler(prediction: str, tmp_path: Path):
    folder = frozen.pipeline(tmp_path, prediction=prediction)
    made = network(folder)
    kinds: Any = diffusers
    unet = kinds.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    scheduler = kinds.DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(1000)
    x_0, eps, condition = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8), told(1)
    for step in (0, 1, 250, 731, 999):
        kept = scheduler.alphas_cumprod[step]
        alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
        t = (alpha / (alpha + sigma)).reshape(1)
        assert made.timestep(t).item() == pytest.approx(step, abs=0.02)
        x = alpha * x_0 + sigma * eps
        said = unet(x, step, condition.states).sample
        expected = scheduler.step(said, step, x).pred_original_sample
        found = made(interpolate(x_0, eps, t), t, condition)
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


@torch.no_grad()
def test_times_beyond_the_schedule_are_its_ends(tmp_path: Path):
    made = network(frozen.pipeline(tmp_path))
    t = torch.tensor([0.0, 1e-6, 1 - 1e-6, 1.0])
    assert made.timestep(t).tolist() == pytest.approx([999, 999, 0, 0], abs=1e-3)
    assert made(torch.randn(4, 3, 8, 8), t, told(4)).isfinite().all()


def test_the_noises_error_counts_where_the_noise_rules(tmp_path: Path):
    made = network(frozen.pipeline(tmp_path / "epsilon"))
    weights = made.weight(torch.linspace(0.01, 0.99, 9))
    assert (weights.diff() >= 0).all()
    assert (weights[-1], weights[4]) == (1, pytest.approx(1))
    assert 0 < weights[0] < 0.01
    other = network(frozen.pipeline(tmp_path / "v", prediction="v_prediction"))
    assert other.weight(torch.tensor([0.01, 0.99])).tolist() == [1, 1]


def test_every_weight_has_a_gradient_and_told_builds_it_again(tmp_path: Path):
    made = network(frozen.pipeline(tmp_path))
    torch.nn.init.normal_(made.caption.weight, std=0.1)
    made(torch.randn(2, 3, 8, 8), torch.tensor([0.3, 0.8]), told(2)).square().mean().backward()
    assert [name for name, p in made.named_parameters() if p.grad is None] == []
    again = DiscreteDenoiser(**json.loads(json.dumps(made.configs())), pooled_width=8)
    again.load_state_dict(made.state_dict())


def test_what_cannot_be_started_from_is_named(tmp_path: Path):
    folder = frozen.pipeline(tmp_path)
    config = json.loads((folder / "unet/config.json").read_text())
    for change, words in (
        ({"addition_embed_type": "text_time"}, "more conditions than time and caption"),
        ({"in_channels": 9}, "inpainting"),
    ):
        (folder / "unet/config.json").write_text(json.dumps(config | change))
        with pytest.raises(ValueError, match=words):
            read_pipeline(folder)
    (folder / "unet/config.json").write_text(json.dumps(config | {"in_channels": 4, "out_channels": 4}))
    with pytest.raises(ValueError, match="do not belong together"):
        read_pipeline(folder)
    (folder / "scheduler/scheduler_config.json").unlink()
    with pytest.raises(ValueError, match=r"no scheduler/scheduler_config\.json"):
        read_pipeline(folder)
    for file in (folder / "unet").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match="holds no weights"):
        load_unet(folder, DiscreteDenoiser(config, {}, 8))
