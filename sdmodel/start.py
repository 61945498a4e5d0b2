"""Folders of pipelines in diffusers' layout, as something to start from: Stable Diffusion 1 and 2, and
unconditional ones.

unet/           config.json and weights of a UNet2DConditionModel, or of a UNet2DModel
scheduler/      scheduler_config.json
vae/            of a latent model: an AutoencoderKL
text_encoder/, tokenizer/   what the UNet reads captions with
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sdmodel.denoise.concatenation import widened
from sdmodel.denoise.unet2d import UNet2D, unet_class
from sdmodel.latents.space import PIXELS, Space
from sdmodel.noise.schedule import TIMESTEPS, NoiseSchedule
from sdmodel.pipeline_family import layout_of, read_json, shown
from sdmodel.variant import variant_of

NOT_DDPM = ("EDMEulerScheduler",)
"""Of diffusers' compatible schedulers those without DDPM's table of variances."""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's folder, as far as its denoiser is concerned."""

    folder: Path
    unet: dict[str, Any]
    """config.json of its UNet."""
    schedule: dict[str, Any]
    """scheduler_config.json."""
    space: Space
    """In which the denoiser was taught."""
    conditional: bool
    """Whether the denoiser reads captions."""
    text: bool
    """Whether it has a text encoder."""


def read_pipeline(folder: Path) -> Pipeline:
    """ValueError: its denoiser is of a kind that cannot be started from, or a part is missing."""
    layout = layout_of(folder)
    schedule = read_json(layout.scheduler)
    _check_schedule(folder, schedule)
    space = _space(folder, read_json(folder / "vae/config.json")) if (folder / "vae").is_dir() else PIXELS
    channels = layout.settings.get("in_channels", 4 if layout.conditional else 3)
    if channels != space.channels:
        made = f"its autoencoder makes {space.channels}" if space.latent else "and no vae/ makes them"
        raise ValueError(
            f"{folder}: its UNet works on {shown(channels)} channels, {made}; they do not belong together"
        )
    text = layout.conditional and (folder / "text_encoder/config.json").exists()
    return Pipeline(folder, layout.settings, schedule, space, layout.conditional, text)


def load_unet(folder: Path, network: UNet2D) -> None:
    """Puts the weights of a pipeline's UNet into a denoiser built from its config. ValueError: there are
    none that fit, as safetensors."""
    place = layout_of(folder).unet
    try:
        unet = unet_class(network.settings).from_pretrained(
            place,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            variant=variant_of(place),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{place} holds no weights in diffusers' layout: {error}") from error
    widened(unet.conv_in, network.beside)
    network.unet.load_state_dict(unet.state_dict())


def _check_schedule(folder: Path, settings: dict[str, Any]) -> None:
    # It takes seconds to import.
    from diffusers import DDPMScheduler  # pyright: ignore[reportPrivateImportUsage]

    name = settings.get("_class_name", "DDPMScheduler")
    compatible: list[str] = DDPMScheduler._compatibles
    if name not in compatible or name in NOT_DDPM:
        raise ValueError(
            f"{folder}: its scheduler is {shown(name)}, which has not DDPM's timesteps; a training starts "
            "from pipelines of DDPM, DDIM, PNDM, Euler and their like"
        )
    try:
        table = NoiseSchedule(settings).table
    # A pipeline's own words: diffusers' schedulers raise the first one for a `beta_schedule` that they do not
    # know, the others for numbers that make no table.
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{folder}: its scheduler describes no schedule: {shown(error)}") from error
    timesteps = settings.get("num_train_timesteps", TIMESTEPS)
    if len(table) != timesteps or len(table) < 2 or not (table.diff() > 0).all():
        raise ValueError(
            f"{folder}: its scheduler has {shown(timesteps)} timesteps and {len(table)} variances; a "
            "training takes a variance for each, with noise that grows from one to the next"
        )


def _space(folder: Path, vae: dict[str, Any]) -> Space:
    """Latents as the pipeline scales them: (latent - shift) * scale."""
    if (kind := vae.get("_class_name", "AutoencoderKL")) != "AutoencoderKL":
        raise ValueError(f"{folder}: its vae is {shown(kind)}; that of Stable Diffusion is an AutoencoderKL")
    channels = int(vae.get("latent_channels", 4))
    shift, scale = float(vae.get("shift_factor") or 0), float(vae.get("scaling_factor") or 0.18215)
    factor = 2 ** (len(vae.get("block_out_channels", (64,))) - 1)
    return Space(channels, factor, (shift,) * channels, (1 / scale,) * channels)
