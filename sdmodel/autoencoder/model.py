"""diffusers' AutoencoderKL by our config, and its folder: the encoder's output is mean and
log-variance of a latent, the decoder's a picture (Rombach et al. 2021, arXiv:2112.10752)."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor

from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.latents.autoencoder import read_autoencoder_kl

SHAPE = (
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "latent_channels",
    "norm_num_groups",
    "mid_block_add_attention",
    "use_quant_conv",
    "use_post_quant_conv",
)
"""What of diffusers' config decides the weights' names and shapes."""


def build(config: AutoencoderConfig, size: int) -> AutoencoderKL:
    """The model for pictures of about `size` pixels a side, weights drawn from torch's global generator."""
    return AutoencoderKL(**described(config, size))


def described(config: AutoencoderConfig, size: int) -> dict[str, Any]:
    """The model's config as diffusers' arguments; what they leave out is as in Stable Diffusion's."""
    levels = len(config.channels)
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": config.channels,
        "layers_per_block": config.blocks,
        "latent_channels": config.latent,
        "norm_num_groups": config.groups,
        "sample_size": size,
    }


def load(folder: Path, like: AutoencoderKL) -> AutoencoderKL:
    """The model of a diffusers folder, or of the `vae` folder in it, float32.

    ValueError: it holds none, or one of another shape than `like`."""
    inside = folder / "vae" if (folder / "vae").is_dir() else folder
    model = read_autoencoder_kl(inside)
    its, expected = shape(model), shape(like)
    if its != expected:
        differ = {name: its[name] for name in SHAPE if its[name] != expected[name]}
        raise ValueError(
            f"{inside}: holds an autoencoder with {differ}; the config asks for "
            f"{ {name: expected[name] for name in differ} }; make the config's autoencoder agree"
        )
    return model


def shape(model: AutoencoderKL) -> dict[str, Any]:
    """SHAPE of a model; sequences as lists, as JSON has them."""
    config: dict[str, Any] = dict(model.config)
    return {name: list(v) if isinstance(v := config[name], tuple) else v for name in SHAPE}


def save(
    folder: Path,
    config: AutoencoderConfig,
    size: int,
    weights: dict[str, Tensor],
    mean: Tensor,
    deviation: Tensor,
) -> None:
    """Writes a folder that diffusers' `AutoencoderKL.from_pretrained` loads.

    weights: by the names of AutoencoderKL. mean, deviation: (C,) of the latents' channels. They are kept as
    latents_mean and latents_std, and for pipelines that know one figure as shift_factor and scaling_factor:
    mean, and 1 / deviation, of all values together."""
    centre = mean.mean()
    spread = (deviation.square() + (mean - centre).square()).mean().sqrt()
    with torch.device("meta"):
        model = AutoencoderKL(
            **described(config, size),
            latents_mean=tuple(mean.tolist()),
            latents_std=tuple(deviation.tolist()),
            shift_factor=float(centre),
            scaling_factor=1 / float(spread),
        )
    model.load_state_dict(weights, assign=True)
    model.save_pretrained(folder)
