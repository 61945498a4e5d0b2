from dataclasses import replace

import pytest
import torch

from sdmodel.config import ContrastiveConfig, TextConfig, TrainConfig, UNetConfig
from sdmodel.contrastive.objective import ContrastiveObjective
from sdmodel.diffusion import DiffusionObjective
from sdmodel.train.run import accelerator_of, objective_of

CONFIG = TrainConfig(
    text=TextConfig(width=8, heads=2, queries=2, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), condition=16),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
)


@pytest.mark.parametrize("kind", ["diffusion", "contrastive"])
def test_the_config_names_the_objective(kind: str):
    objective = objective_of(replace(CONFIG, objective=kind), ["a cat", "a dog"] * 4)
    assert isinstance(objective, {"diffusion": DiffusionObjective, "contrastive": ContrastiveObjective}[kind])
    assert all(p.dtype == torch.float32 for p in objective.modules.parameters())


@pytest.mark.parametrize("kind", ["diffusion", "contrastive"])
def test_weights_are_a_function_of_the_seed(kind: str):
    def weights(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(objective_of(replace(CONFIG, objective=kind), ["a cat"] * 4).modules.parameters())

    assert all(torch.equal(a, b) for a, b in zip(weights(1), weights(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(1), weights(2), strict=True))


def test_an_unknown_device_is_named():
    with pytest.raises(ValueError, match='device=\'tpu\': "cpu", "cuda" or "auto" are known'):
        accelerator_of(replace(CONFIG, device="tpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no CUDA device is found"):
        accelerator_of(replace(CONFIG, device="cuda"))


def test_precision_is_fp32_on_the_cpu():
    assert accelerator_of(replace(CONFIG, device="cpu")).mixed_precision == "no"
