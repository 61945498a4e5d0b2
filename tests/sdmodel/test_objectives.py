from dataclasses import replace
from typing import Any

import pytest
import torch

from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.gan import GanConfig
from sdmodel.config.model import ContrastiveConfig, UNetConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.objectives import objective_of

CONFIG = TrainConfig(
    text=TextConfig(width=8, heads=2, queries=2, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), condition=16),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    autoencoder=AutoencoderConfig(channels=(8, 8), groups=4),
    gan=GanConfig(latent=8, channels=4),
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
)
NAMES = {
    "diffusion": "DiffusionObjective",
    "contrastive": "ContrastiveObjective",
    "text": "TextObjective",
    "autoencoder": "AutoencoderObjective",
    "gan": "GanObjective",
    "selfsupervised": "SelfSupervisedObjective",
}


def made(kind: Any, seed: int):
    torch.manual_seed(seed)
    return objective_of(replace(CONFIG, objective=kind), ["a cat", "a dog"] * 4)


@pytest.mark.parametrize("kind", NAMES)
def test_the_config_names_the_objective_and_the_seed_its_weights(kind: str):
    one, same, other = made(kind, 1), made(kind, 1), made(kind, 2)
    assert type(one).__name__ == NAMES[kind]
    assert one.whole_batch == replace(CONFIG, objective=kind).whole_batch
    assert one.whole_batch == (kind in ("contrastive", "text", "selfsupervised"))
    weights = [list(objective.modules.parameters()) for objective in (one, same, other)]
    assert all(p.dtype == torch.float32 for p in weights[0])
    assert all(torch.equal(a, b) for a, b in zip(*weights[:2], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
