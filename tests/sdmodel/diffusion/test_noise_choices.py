"""Every choice of noise trains: all weights learn, whatever is predicted, wherever the error is measured."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.model import UNet2DConfig
from sdmodel.config.noise import Distribution, Loss, NoiseConfig, Prediction, ScheduleName
from sdmodel.diffusion.denoising_errors import LEVELS
from sdmodel.evaluate.regression import figures
from tests.sdmodel.golden.tiny import CONFIG as TINY
from tests.sdmodel.gradients import batch, made

CONFIG = replace(
    TINY,
    optimizer=OptimizerConfig(kind="adamw"),
    unet2d=UNet2DConfig(channels=(8, 8), attention=(False, True), blocks=1, head_width=8, groups=4),
)
CHOICES = [
    {"schedule": schedule, "prediction": prediction, "loss": loss}
    for schedule in get_args(ScheduleName)
    for prediction in get_args(Prediction)
    for loss in get_args(Loss)
    if not (schedule == "flow" and prediction == "epsilon" and loss in ("x0", "v", "velocity"))
]
OTHERS = [
    *(
        {"schedule": "scaled_linear", "zero_terminal_snr": True, "prediction": p}
        for p in ("x0", "v", "velocity")
    ),
    *(
        {"times": times, "schedule": schedule}
        for times in get_args(Distribution)
        for schedule in ("flow", "cosine")
    ),
    {"shift": 3.0, "shift_tokens": 16, "schedule": "linear"},
    {"offset": 0.1},
    {"huber": 0.1, "loss": "min_snr"},
    {"stratified": False},
]


def named(choice: dict[str, Any]) -> str:
    return "-".join(str(value) for value in choice.values())


def check(config: Any) -> None:
    objective = made(config)
    losses = objective.modules(batch(config))
    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    parameters = dict(objective.modules.named_parameters())
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.abs().sum()] == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters.values())


@pytest.mark.parametrize("choice", CHOICES, ids=named)
def test_every_weight_has_a_gradient(choice: dict[str, Any]):
    check(replace(CONFIG, noise=NoiseConfig(**choice)))


@pytest.mark.parametrize("choice", OTHERS, ids=named)
def test_so_it_has_with_other_times_and_noise(choice: dict[str, Any]):
    check(replace(CONFIG, noise=NoiseConfig(**choice)))


@pytest.mark.parametrize("network", ["unet2d", "dit"])
@pytest.mark.parametrize("schedule", ["flow", "linear"])
def test_so_it_has_with_other_networks(network: Any, schedule: Any):
    check(replace(CONFIG, network=network, noise=NoiseConfig(schedule=schedule, prediction="v")))


@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("schedule", ["flow", "scaled_linear", "cosine"])
def test_errors_of_the_clean_picture_are_finite_at_every_level(schedule: Any, prediction: Any):
    objective = made(replace(CONFIG, noise=NoiseConfig(schedule=schedule, prediction=prediction)))
    with torch.no_grad():
        sums = objective.errors(batch(CONFIG))
    measures = figures(sums)
    assert all(torch.tensor(measures[f"mse@{level}"]).isfinite() for level in range(LEVELS))
