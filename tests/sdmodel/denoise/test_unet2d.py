"""A UNet of diffusers behind our protocol predicts what diffusers predicts of it."""

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
from sdmodel.start import load_unet, read_pipeline
from tests import frozen

KINDS: Any = diffusers
STEPS = torch.tensor([0, 1, 250, 731, 999])


def encoded(batch: int) -> Condition:
    torch.manual_seed(1)
    states = torch.randn(batch, 8, 8)
    return Condition(torch.randn(batch, 8), states, torch.ones(batch, 8, dtype=torch.bool))


def started(folder: Path) -> tuple[UNet2D, ForwardProcess]:
    pipeline = read_pipeline(folder)
    process = ForwardProcess.of_pipeline(NoiseConfig(), pipeline.schedule)
    network = UNet2D(pipeline.unet, process.schedule, padded=False)
    load_unet(folder, network)
    return network.eval(), process


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@torch.no_grad()
def test_the_prediction_is_the_stock_unets(prediction: str, tmp_path: Path):
    folder = frozen.pipeline(tmp_path, prediction=prediction)
    network, process = started(folder)
    unet = KINDS.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    scheduler = KINDS.DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(1000)
    x_0, eps, condition = torch.randn(5, 3, 8, 8), torch.randn(5, 3, 8, 8), encoded(5)
    x = scheduler.add_noise(x_0, eps, STEPS)
    expected = unet(x, STEPS, condition.states).sample
    t = process.schedule.table[999 - STEPS]
    predicted = network(interpolate(x_0, eps, t), t, condition)
    torch.testing.assert_close(predicted, expected, rtol=1e-5, atol=1e-5)

    estimate = clean(process.prediction, predicted, interpolate(x_0, eps, t), t)
    for row, step in enumerate(STEPS[:4]):  # at the last one the scheduler divides by .07
        original = scheduler.step(expected[row], int(step), x[row]).pred_original_sample
        torch.testing.assert_close(estimate[row], original, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_an_unconditional_unet_reads_no_condition(tmp_path: Path):
    for folder in (
        frozen.unconditional(tmp_path / "whole"),
        frozen.unconditional(tmp_path / "flat", flat=True),
    ):
        network, process = started(folder)
        scheduler = KINDS.DDPMScheduler.from_pretrained(
            folder if folder.name == "flat" else folder / "scheduler"
        )
        unet = KINDS.UNet2DModel.from_pretrained(folder if folder.name == "flat" else folder / "unet").eval()
        x_0, eps = torch.randn(5, 3, 8, 8), torch.randn(5, 3, 8, 8)
        t = process.schedule.table[999 - STEPS]
        predicted = network(interpolate(x_0, eps, t), t, encoded(5))
        expected = unet(scheduler.add_noise(x_0, eps, STEPS), STEPS).sample
        torch.testing.assert_close(predicted, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_times_beyond_the_schedule_are_its_ends(tmp_path: Path):
    network, _ = started(frozen.pipeline(tmp_path))
    t = torch.tensor([0.0, 1e-6, 1 - 1e-6, 1.0])
    assert network.schedule.timestep(t).tolist() == [999, 999, 0, 0]
    assert network(torch.randn(4, 3, 8, 8), t, encoded(4)).isfinite().all()


@pytest.mark.parametrize("make", [frozen.pipeline, frozen.unconditional])
def test_every_weight_has_a_gradient_and_its_settings_build_it_again(make: Any, tmp_path: Path):
    network, _ = started(make(tmp_path))
    network(torch.randn(2, 3, 8, 8), torch.tensor([0.3, 0.8]), encoded(2)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    again = UNet2D(json.loads(json.dumps(network.settings)), network.schedule)
    again.load_state_dict(network.state_dict())
