"""The smallest training of each objective: what its golden curve is of. A change here changes the curves."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdmodel.config import (
    AutoencoderConfig,
    ContrastiveConfig,
    OptimizerConfig,
    SelfSupervisedConfig,
    TextConfig,
    TrainConfig,
    UNetConfig,
)

OBJECTIVES: tuple[Any, ...] = ("autoencoder", "selfsupervised", "contrastive", "diffusion")
CONFIG = TrainConfig(
    images=80,
    batch=8,
    size=16,
    seed=7,
    snapshot_every=40,
    processes=1,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    autoencoder=AutoencoderConfig(channels=(8, 16), groups=4, latent=2),
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
    optimizer=OptimizerConfig(warmup=16),
)


def config_of(objective: Any, **changes: Any) -> TrainConfig:
    """The contrastive image tower halves its sides five times."""
    size = 32 if objective == "contrastive" else 16
    return replace(CONFIG, objective=objective, size=size, **changes)


def plan(folder: Path, dataset: Any, config: TrainConfig) -> dict[str, Any]:
    """As the launcher writes it."""
    return {
        "folder": str(folder),
        "index": str(dataset.index),
        "tars": {name: str(tar) for name, tar in dataset.tars.items()},
        "config": dataclasses.asdict(config),
        "start": None,
    }
