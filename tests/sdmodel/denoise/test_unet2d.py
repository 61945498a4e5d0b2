"""A Stable Diffusion's UNet behind our protocol says what diffusers says of it."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from sdmodel.condition import Condition
from sdmodel.config.noise import NoiseConfig
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.prediction import clean
from sdmodel.noise.process import ForwardProcess
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.start import load_unet, read_pipeline
from tests import frozen


def captions(batch: int) -> Condition:
    torch.manual_seed(1)
    states = torch.randn(batch, 8, 8)
    return Condition(torch.randn(batch, 8), states, torch.ones(batch, 8, dtype=torch.bool))


def started(folder: Path) -> tuple[UNet2D, ForwardProcess]:
    pipeline = read_pipeline(folder)
    process = ForwardProcess.of_pipeline(NoiseConfig(), pipeline.schedule)
    network = UNet2D(pipeline.unet, process.schedule)
    load_unet(folder, network)
    return network.eval(), process


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@torch.no_grad()
def test_the_estimate_is_that_of_diffusers_scheduler(prediction: str, tmp_path: Path):
    folder = frozen.pipeline(tmp_path, prediction=prediction)
    network, process = started(folder)
    kinds: Any = diffusers
    unet = kinds.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    scheduler = kinds.DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(1000)
    x_0, eps, condition = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8), captions(1)
    for step in (0, 1, 250, 731, 999):
        alphas_cumprod = scheduler.alphas_cumprod[step]
        x = alphas_cumprod.sqrt() * x_0 + (1 - alphas_cumprod).sqrt() * eps
        predicted = unet(x, step, condition.states).sample
        expected = scheduler.step(predicted, step, x).pred_original_sample
        t = process.schedule.table[999 - step].reshape(1)
        x_t = interpolate(x_0, eps, t)
        ours = network(x_t, t, condition)
        torch.testing.assert_close(ours, predicted, rtol=1e-5, atol=1e-5)
        estimate = clean(process.prediction, ours, x_t, t)
        torch.testing.assert_close(estimate, expected, rtol=1e-4, atol=3e-4)


@torch.no_grad()
def test_times_beyond_the_schedule_are_its_ends(tmp_path: Path):
    network, _ = started(frozen.pipeline(tmp_path))
    t = torch.tensor([0.0, 1e-6, 1 - 1e-6, 1.0])
    assert network.schedule.timestep(t).tolist() == [999, 999, 0, 0]
    assert network(torch.randn(4, 3, 8, 8), t, captions(4)).isfinite().all()


def test_every_weight_has_a_gradient_and_its_settings_build_it_again(tmp_path: Path):
    network, _ = started(frozen.pipeline(tmp_path))
    network(torch.randn(2, 3, 8, 8), torch.tensor([0.3, 0.8]), captions(2)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    again = UNet2D(json.loads(json.dumps(network.settings)), network.schedule)
    again.load_state_dict(network.state_dict())


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
        load_unet(folder, UNet2D(config, NoiseSchedule()))
