"""The smallest training of each objective and denoiser: what its golden curve is of. A change here changes
the curves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sdmodel.config.adversary import PatchAdversaryConfig
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.conditions import (
    ClassColumnConfig,
    ConditionsConfig,
    NumberColumnConfig,
    PictureSizeConfig,
)
from sdmodel.config.gan import GanConfig
from sdmodel.config.learning import DataConfig, OptimizerConfig
from sdmodel.config.model import (
    ContrastiveConfig,
    DiTConfig,
    UNet2DConfig,
    UNetConfig,
)
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.picture import PictureConfig
from sdmodel.config.representation import AlignmentConfig, JointConfig
from sdmodel.config.selfsupervised import MaskedConfig, PatchTransformerConfig, SelfSupervisedConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JobSpec

CONFIG = TrainConfig(
    images=80,
    batch=8,
    size=16,
    seed=7,
    checkpoint_every=40,
    processes=1,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    unet2d=UNet2DConfig(channels=(8, 16), attention=(False, True), blocks=1, head_width=8, groups=4),
    dit=DiTConfig(width=16, layers=2, heads=2),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    autoencoder=AutoencoderConfig(channels=(8, 16), groups=4, latent=2),
    gan=GanConfig(latent=8, channels=4, penalty_every=2, augment=("colour", "translation", "cutout")),
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
    optimizer=OptimizerConfig(warmup=16),
)


CURVES: dict[str, Any] = {
    "autoencoder": {"objective": "autoencoder"},
    # A discriminator that begins after a while, and deviations that are learned.
    "vae-gan": {
        "objective": "autoencoder",
        "autoencoder": AutoencoderConfig(
            channels=(8, 16),
            groups=4,
            latent=2,
            log_variance=True,
            adversary=PatchAdversaryConfig(weight=0.5, begins=24, channels=8, layers=2),
        ),
    },
    "gan": {"objective": "gan"},
    "relativistic": {
        "objective": "gan",
        "gan": GanConfig(
            network="residual",
            latent=8,
            channels=4,
            loss="relativistic",
            penalty=0.2,
            fake_penalty=0.2,
            penalty_every=2,
        ),
    },
    "selfsupervised": {"objective": "selfsupervised"},
    # Part of the rows have labels, and part of the views are noised.
    "supervised": {
        "objective": "selfsupervised",
        "selfsupervised": SelfSupervisedConfig(
            method="supervised", width=4, embedding=8, columns=("colour",), labelled=0.7, noised=0.5
        ),
    },
    "masked": {
        "objective": "selfsupervised",
        "selfsupervised": SelfSupervisedConfig(
            method="masked",
            tower="vit",
            vit=PatchTransformerConfig(width=16, layers=1, heads=2),
            masked=MaskedConfig(width=8, layers=1, heads=2),
        ),
    },
    "rotation": {
        "objective": "selfsupervised",
        "selfsupervised": SelfSupervisedConfig(method="rotation", width=4),
    },
    # Its image tower halves the sides five times.
    "contrastive": {"objective": "contrastive", "size": 32},
    "text": {
        "objective": "text",
        "size": 32,
        "pretrain": PretrainConfig(masked=1.0, next=0.5, noise=0.5, consistency=1.0),
    },
    # Part of the rows teach; states of one direction, dropout between layers.
    "labels": {
        "objective": "text",
        "size": 32,
        "text": TextConfig(kind="lstm", width=16, layers=2, length=12, vocabulary=300, dropout=0.3),
        "pretrain": PretrainConfig(contrastive=0.0, labels=1.0, columns=("colour",), labelled=0.5, next=0.5),
    },
    "diffusion": {"objective": "diffusion"},
    "unet2d": {"network": "unet2d"},
    "dit": {"network": "dit", "data": DataConfig(augment=0.2)},
    "repa": {"alignment": AlignmentConfig(kind="repa", until=64)},
    "dispersive": {"alignment": AlignmentConfig(kind="dispersive")},
    "joint": {"joint": JointConfig(kind="contrastive", weights="uncertainty", embedding=8)},
    "joint-dit": {
        "network": "dit",
        "alignment": AlignmentConfig(kind="dispersive", layer=1),
        "joint": JointConfig(kind="masked", weights="schedule", alpha=0.5),
    },
    # A class, a number and the picture's size, each of which some rows lack.
    "conditions": {
        "conditions": ConditionsConfig(
            columns=(ClassColumnConfig(column="colour"),),
            numbers=(NumberColumnConfig(column="similarity"),),
            size=PictureSizeConfig(on=True),
            width=8,
        ),
        "data": DataConfig(crop=True, flip=True),
    },
    # A view of each picture, in every way to join, and features that a prior learns to draw.
    "picture": {
        "encoder": "models/views",
        "conditions": ConditionsConfig(
            picture=PictureConfig(
                source="reference", join=("channels", "token", "modulation"), channels=4, tokens=2
            ),
            width=8,
        ),
    },
    "prior": {
        "encoder": "models/views",
        "conditions": ConditionsConfig(
            picture=PictureConfig(source="prior", join=("channels", "token"), prior_width=16, prior_blocks=1)
        ),
    },
    "noise": {"noise": NoiseConfig(schedule="cosine", prediction="v", loss="learned", offset=0.1)},
}
"""What is changed of CONFIG, by the curve's name."""
OBJECTIVES = tuple(name for name, changed in CURVES.items() if changed.get("objective") == name)


def config_of(curve: str, **changes: Any) -> TrainConfig:
    """Of the training whose curve has that name."""
    return replace(CONFIG, **CURVES[curve], **changes)


def encoders(folder: Path, config: TrainConfig) -> dict[str, Path]:
    """The image encoder that a training asks, by its name in the job; `folder` is of one."""
    asked = config.alignment.kind == "repa" or config.conditions.picture.source
    return {"encoder": folder} if asked else {}


def job(folder: Path, dataset: Any, config: TrainConfig, **paths: Path) -> JobSpec:
    """Of a training whose results go to `folder`."""
    return JobSpec(
        folder=folder,
        index=dataset.index,
        tars={name: str(tar) for name, tar in dataset.tars.items()},
        config=config,
        labels=dataset.index,
        **paths,
    )
