"""Low-rank changes (LoRA; Hu et al. 2021, arXiv:2106.09685) that were kept apart, for diffusers and for peft.

A model folder's adapter/ names layers as our models do (`network.unet.…`), which no other library knows:
diffusers' `load_lora_weights` loads nothing of it and says nothing. Here they are written anew:

pytorch_lora_weights.safetensors   by diffusers' own writer: `pipe.load_lora_weights(DIR)`
unet_adapter/                      of the UNet alone: `peft.PeftModel.from_pretrained(unet, DIR/unet_adapter)`

Both are changes to the weights that the training started from.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from sdmodel.lora import ADAPTER, CONFIG, PREFIX, WEIGHTS

FILE = "pytorch_lora_weights.safetensors"
"""By the name that `load_lora_weights` looks for in a folder."""
UNET_ADAPTER = "unet_adapter"
UNET = "network.unet."
"""Beginning of the names of a UNet's layers in our models."""
TEXT = "text.model."
"""Beginning of the names of a CLIP text model's layers."""
TEXT_MODEL = "text_model."
"""Beginning of their names in files: transformers had a module of that name and has none since version 5,
and diffusers leaves it out where there is none."""
SUFFIX = ".lora_A.weight"


def has_adapter(model_folder: Path) -> bool:
    """Whether a model folder holds changes that were kept apart (train.lora.merge: false)."""
    return (model_folder / ADAPTER).is_dir()


def export_lora(model_folder: Path, target: Path) -> list[Path]:
    """Writes the changes of a model folder into `target`, as the head of this file says; returns the files.

    unet_adapter/ is left out where no layer of the UNet was changed. `target` is made where it is missing.

    ValueError: the folder holds none, or changes of layers that a stock pipeline does not have."""
    # Only who exports waits for it: it takes seconds to import.
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin

    if not has_adapter(model_folder):
        raise ValueError(
            f"{model_folder}: no {ADAPTER}/ in it; train.lora.merge: false keeps changes apart, others are "
            "in the model's weights"
        )
    config = json.loads((model_folder / ADAPTER / CONFIG).read_text())
    settings = json.loads((model_folder / "config.json").read_text())["model"]
    unet, text = _parts(load_file(model_folder / ADAPTER / WEIGHTS), _start(settings), model_folder)
    target.mkdir(parents=True, exist_ok=True)
    StableDiffusionLoraLoaderMixin.save_lora_weights(
        target,
        unet_lora_layers=unet,  # pyright: ignore[reportArgumentType] - tensors, as it documents
        text_encoder_lora_layers={  # pyright: ignore[reportArgumentType] - tensors, as it documents
            f"{TEXT_MODEL}{name}": value for name, value in text.items()
        },
        weight_name=FILE,
        unet_lora_adapter_metadata=_metadata(config, unet),
        text_encoder_lora_adapter_metadata=_metadata(config, text),
    )
    files = [target / FILE]
    if unet:
        files += _write_adapter(config, unet, target / UNET_ADAPTER)
    return files


def _start(settings: dict[str, Any]) -> str:
    """How the names of a model's CLIP text model begin; empty where it has none."""
    return TEXT if settings["text"] is None and not settings.get("own") else ""


def _parts(
    tensors: dict[str, Tensor], text_start: str, folder: Path
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those of the UNet and those of the text encoder, by their own names. ValueError: there are others."""
    unet: dict[str, Tensor] = {}
    text: dict[str, Tensor] = {}
    others: list[str] = []
    for key, value in tensors.items():
        name = key.removeprefix(PREFIX)
        if name.startswith(UNET):
            unet[name.removeprefix(UNET)] = value
        elif text_start and name.startswith(text_start):
            text[name.removeprefix(text_start).removeprefix(TEXT_MODEL)] = value
        else:
            others.append(name)
    if others:
        names = sorted({name.partition(".lora_")[0] for name in others})
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise ValueError(
            f"{folder}: a stock pipeline has no room for changes of {shown}; name layers of diffusers' UNet "
            "and of CLIP's text model alone in train.lora.targets, or set train.lora.merge to true"
        )
    return unet, text


def _metadata(config: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of peft's LoraConfig, by which loaders know alpha; without them it would be the rank."""
    return {
        "r": config["r"],
        "lora_alpha": config["lora_alpha"],
        "target_modules": sorted(name.removesuffix(SUFFIX) for name in tensors if name.endswith(SUFFIX)),
    }


def _write_adapter(config: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> list[Path]:
    """peft's own layout, for a bare UNet."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"peft_type": "LORA", "inference_mode": True, **_metadata(config, tensors)}
    (folder / CONFIG).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
    save_file({f"{PREFIX}{name}": value for name, value in tensors.items()}, folder / WEIGHTS)
    return [folder / CONFIG, folder / WEIGHTS]
