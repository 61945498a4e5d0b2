"""Folders of pipelines in the layout of Stable Diffusion, as something to start from.

unet/           config.json and weights of a UNet2DConditionModel
scheduler/      scheduler_config.json
vae/            of a latent model: an AutoencoderKL
text_encoder/, tokenizer/   what the UNet reads captions with
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sdmodel.denoise.unet2d import UNet2D, check_unet
from sdmodel.latents.space import PIXELS, Space
from sdmodel.variant import variant_of


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's folder, as far as its denoiser is concerned."""

    folder: Path
    unet: dict[str, Any]
    """unet/config.json."""
    schedule: dict[str, Any]
    """scheduler/scheduler_config.json."""
    space: Space
    """In which the denoiser was taught."""
    text: bool
    """Whether it has a text encoder."""


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds one."""
    return (folder / "unet/config.json").exists()


def read_pipeline(folder: Path) -> Pipeline:
    """ValueError: its denoiser is of a kind that cannot be started from, or a part is missing."""
    unet = _json(folder, "unet/config.json")
    schedule = _json(folder, "scheduler/scheduler_config.json")
    check_unet(unet)
    space = _space(_json(folder, "vae/config.json")) if (folder / "vae").is_dir() else PIXELS
    if unet["in_channels"] != space.channels:
        raise ValueError(
            f"{folder}: its UNet works on {unet['in_channels']} channels, its autoencoder makes "
            f"{space.channels}; they do not belong together"
        )
    return Pipeline(folder, unet, schedule, space, (folder / "text_encoder/config.json").exists())


def load_unet(folder: Path, network: UNet2D) -> None:
    """Puts the weights of a pipeline's UNet into a denoiser built from its config. ValueError: there are
    none that fit, as safetensors."""
    # It takes seconds to import.
    from diffusers import UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

    try:
        unet = UNet2DConditionModel.from_pretrained(
            folder / "unet",
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            variant=variant_of(folder / "unet"),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder}/unet holds no weights in diffusers' layout: {error}") from error
    network.unet.load_state_dict(unet.state_dict())


def _space(vae: dict[str, Any]) -> Space:
    """Latents as the pipeline scales them: (latent - shift) * scale."""
    channels = int(vae.get("latent_channels", 4))
    shift, scale = float(vae.get("shift_factor") or 0), float(vae.get("scaling_factor") or 0.18215)
    factor = 2 ** (len(vae["block_out_channels"]) - 1)
    return Space(channels, factor, (shift,) * channels, (1 / scale,) * channels)


def _json(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / name).is_file():
        raise ValueError(f"{folder}: no {name} in it; a folder in the layout of Stable Diffusion has one")
    return json.loads((folder / name).read_text())
