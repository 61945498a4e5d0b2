"""Which family of models a pipeline's folder holds, by model_index.json and its UNet's config: those that a
training starts from, and the others by name. Imports no torch, so that a deploy machine can look."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONDITIONAL, UNCONDITIONAL = "UNet2DConditionModel", "UNet2DModel"
"""diffusers' classes of denoisers that can be started from."""
INSTEAD = (
    "a training starts from Stable Diffusion 1 or 2 (unet/, scheduler/, vae/, text_encoder/, tokenizer/) or "
    "from an unconditional UNet2DModel (unet/, scheduler/)"
)
PIPELINES = (
    ("StableDiffusionXL", "Stable Diffusion XL"),
    ("StableDiffusion3", "Stable Diffusion 3"),
    ("Flux", "Flux"),
    ("StableCascade", "Stable Cascade"),
    ("Wuerstchen", "Wuerstchen"),
    ("StableVideoDiffusion", "Stable Video Diffusion"),
    ("StableDiffusionInpaint", "Stable Diffusion for inpainting"),
    ("StableDiffusionInstructPix2Pix", "InstructPix2Pix"),
    ("StableDiffusionDepth2Img", "Stable Diffusion with depth"),
    ("StableDiffusionUpscale", "Stable Diffusion's upscaler"),
    ("StableDiffusionLatentUpscale", "Stable Diffusion's upscaler"),
    ("StableDiffusionImageVariation", "Stable Diffusion's image variations"),
    ("StableUnCLIP", "Stable unCLIP"),
    ("LatentConsistencyModel", "a latent consistency model"),
    ("LDM", "a latent diffusion on a VQModel"),
    ("PixArt", "PixArt"),
    ("Kandinsky", "Kandinsky"),
    ("IF", "DeepFloyd IF"),
)
"""How the names of pipelines of other families begin."""
CHANNELS = {9: "inpainting", 8: "InstructPix2Pix", 7: "the upscaler", 5: "depth"}
"""What a UNet of Stable Diffusion that takes so many channels is of."""
SHOWN = 60
"""Characters of a folder's word that a message repeats."""


@dataclass(frozen=True)
class PipelineLayout:
    """Where the denoiser and its schedule lie in a pipeline's folder, and what it is."""

    unet: Path
    """Folder of its config.json and weights."""
    scheduler: Path
    """scheduler_config.json."""
    settings: dict[str, Any]
    """config.json of the UNet."""

    @property
    def conditional(self) -> bool:
        """Whether it reads captions."""
        return self.settings.get("_class_name", CONDITIONAL) == CONDITIONAL


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds a pipeline, of whatever family, or an unconditional UNet by itself."""
    if any(
        (folder / name).exists()
        for name in ("model_index.json", "unet/config.json", "transformer/config.json")
    ):
        return True
    return _alone(folder)


def layout_of(folder: Path) -> PipelineLayout:
    """Where the parts of a pipeline's folder lie. An unconditional one may have all at its top, without unet/
    and scheduler/, as the first DDPM were published.

    ValueError: it is of a family that no training starts from, or has no UNet."""
    index = read_json(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    name = str(index.get("_class_name", ""))
    if family := next((family for start, family in PIPELINES if name.startswith(start)), None):
        raise ValueError(f"{folder} holds {family} ({shown(name)}); {INSTEAD}")
    inside = (folder / "unet/config.json").is_file()
    if not inside and (folder / "transformer").is_dir():
        raise ValueError(
            f"{folder} holds {shown(name) if name else 'a pipeline'} whose denoiser is a transformer, as "
            f"Stable Diffusion 3 and Flux have; {INSTEAD}"
        )
    if not inside and not _alone(folder):
        raise ValueError(f"{folder}: no unet/config.json in it; {INSTEAD}")
    unet, scheduler = (folder / "unet", folder / "scheduler") if inside else (folder, folder)
    settings = read_json(unet / "config.json")
    check_unet(settings, str(folder))
    return PipelineLayout(unet, scheduler / "scheduler_config.json", settings)


def check_unet(settings: Mapping[str, Any], place: str = "a UNet") -> None:
    """ValueError: a UNet is of a family that no training starts from.

    settings: its config.json. place: whose, for the message."""
    if family := _other_family(settings):
        raise ValueError(f"{place} holds the UNet of {family}; {INSTEAD}")


def read_json(file: Path) -> dict[str, Any]:
    """An object of JSON. ValueError: the file is missing, or holds something else."""
    if not file.is_file():
        raise ValueError(f"{file.parent.parent}: no {file.parent.name}/{file.name} in it; {INSTEAD}")
    try:
        value = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} holds no JSON: {str(error)[:SHOWN]}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file} holds no object of JSON")
    return value


def shown(value: object) -> str:
    """A folder's own word, for a message: its beginning, in quotes, on one line."""
    return repr(str(value)[:SHOWN])


def _alone(folder: Path) -> bool:
    """Whether an unconditional UNet lies at the top of a folder."""
    file = folder / "config.json"
    return file.is_file() and read_json(file).get("_class_name") == UNCONDITIONAL


def _other_family(unet: Mapping[str, Any]) -> str | None:
    """What a UNet is of, if it cannot be started from."""
    kind = unet.get("_class_name", CONDITIONAL)
    if kind not in (CONDITIONAL, UNCONDITIONAL):
        return f"another kind, {shown(kind)}"
    default = 4 if kind == CONDITIONAL else 3
    channels, out = unet.get("in_channels", default), unet.get("out_channels", default)
    if unet.get("addition_embed_type") == "text_time":
        refiner = unet.get("projection_class_embeddings_input_dim") == 2560
        return "Stable Diffusion XL's refiner" if refiner else "Stable Diffusion XL"
    if channels != out and channels in CHANNELS:
        return f"Stable Diffusion for {CHANNELS[channels]}, which takes {channels} channels and not {out}"
    if channels != out:
        return f"another kind, from {shown(channels)} to {shown(out)} channels"
    if unet.get("time_cond_proj_dim") is not None:
        return "a latent consistency model, which is told its guidance"
    for key in ("addition_embed_type", "class_embed_type", "encoder_hid_dim", "num_class_embeds"):
        if unet.get(key) is not None:
            return f"another kind, with more conditions than time and caption ({key}={shown(unet[key])})"
    if unet.get("time_embedding_type", "positional") != "positional":
        return f"another kind, without timesteps (time_embedding_type={shown(unet['time_embedding_type'])})"
    return None
