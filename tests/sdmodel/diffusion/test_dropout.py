"""Dropout of a model that goes on is what the config says, whatever its folder says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.row_dropout import StochasticDepth
from tests.sdmodel.golden.tiny import config_of

CAPTIONS = ["a red cat", "a blue hat"] * 3


def dropping(curve: str, share: float, **text: Any) -> TrainConfig:
    config = config_of(curve)
    return replace(
        config,
        text=replace(config.text, dropout=share, **text),
        unet=replace(config.unet, dropout=share, stochastic_depth=share / 2),
        dit=replace(config.dit, dropout=share, stochastic_depth=share / 2),
    )


def shares(modules: nn.Module) -> list[float]:
    return [layer.p for layer in modules.modules() if isinstance(layer, nn.Dropout | StochasticDepth)]


@pytest.mark.parametrize(
    ("curve", "text"), [("diffusion", {}), ("dit", {"kind": "bert"}), ("unet2d", {"kind": "clip"})]
)
def test_a_model_goes_on_with_the_dropout_of_the_config(curve: str, text: dict[str, Any], tmp_path: Path):
    torch.manual_seed(0)
    first = DiffusionObjective(dropping(curve, 0.0, **text), CAPTIONS)
    assert not any(shares(first.modules))
    weights = {name: value.clone().contiguous() for name, value in first.modules.state_dict().items()}
    first.save(tmp_path, weights)
    config = dropping(curve, 0.4, **text)
    second = DiffusionObjective(config, CAPTIONS, starting=True)
    second.start(tmp_path)
    new = DiffusionObjective(config, CAPTIONS)
    assert shares(second.modules) == shares(new.modules)
    assert 0.4 in shares(second.modules.text)  # pyright: ignore[reportArgumentType] - it learns
    for name, value in second.modules.state_dict().items():
        assert torch.equal(value, weights[name]), name
