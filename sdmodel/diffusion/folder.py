"""Folders of text-to-image models.

config.json         kind, "model": what decides the weights and what they mean, "training": how they came
model.safetensors   the weights that were learned, but for those of text encoders and of a loss
text/N/             our own text encoders, each as one to start from
text_encoder/, tokenizer/   in its place, as transformers lays them out
autoencoder/        of a latent model, as diffusers lays it out
encoder/            of a model with pictures as a condition, our image encoder
adapter/            low-rank changes that were kept apart, as peft lays them out
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.conditions.build import read_layouts
from sdmodel.conditions.conditions import Conditions
from sdmodel.conditions.interface import Placement
from sdmodel.config.adapter import adapter_of
from sdmodel.config.train import TrainConfig
from sdmodel.denoise.build import build_denoiser
from sdmodel.denoise.unet import UNet
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.diffusion.model import CaptionEncoder, Diffusion
from sdmodel.diffusion.own import NOTHING, OwnParts
from sdmodel.features.encoder import ENCODER
from sdmodel.latents import autoencoder
from sdmodel.latents import text as frozen
from sdmodel.latents.space import PIXELS, Space
from sdmodel.lora import ADAPTER, apply_adapter
from sdmodel.noise.process import ForwardProcess
from sdmodel.text.conditioner import ENCODERS, TextConditioner
from sdmodel.text.encoder import NOT_SHAPE
from sdmodel.text.pipeline import PipelineTextEncoder
from sdmodel.text.unread import UnreadCaptions

KIND = "diffusion"
WEIGHTS = "model.safetensors"
AUTOENCODER = "autoencoder"
TEXT = ("text_encoder", "tokenizer")
TEXTS = "text"
TRAINING_ALONE = ("uncertainty.", "alignment.", "joint.")
"""Beginnings of the names of what weighs errors and projects features in training, and draws nothing."""


def described(model: Diffusion) -> dict[str, Any]:
    """What decides a model's weights and what they mean, as JSON.

    "size"; "network" and, under its name, its config, of a UNet of diffusers that of diffusers; "maps": side
    of the square arrays that our UNet learned positions for, or null; "noise": schedule, prediction and
    shift; "sampling"; "text": the configs of our own text encoders, null where a pipeline's reads captions,
    [] where nothing does; "text_length": tokens that a pipeline's reads; "text_learns"; "augment": whether it
    is told how pictures were moved; "space"; "conditions": of a model that has some beside the caption, what
    each is and where the network reads them. Of parts that the caller brought nothing is known: "network" and
    "text" are null where they are one, and "own" names them."""
    config, own = model.config, model.own
    network, settings = model.layout
    return {
        "size": config.size,
        "network": network,
        **({network: settings} if network else {}),
        "maps": model.network.size if isinstance(model.network, UNet) else None,
        "noise": model.process.described(),
        "sampling": model.sampling.described(),
        "text": _shapes(model.text),
        "text_length": getattr(model.text, "length", 0),
        "text_learns": isinstance(model.text, nn.Module),
        "augment": getattr(model.network, "augmentation", None) is not None,
        "space": dataclasses.asdict(model.space),
        **({"own": sorted(own)} if own else {}),
        **({"conditions": model.conditions.described()} if model.conditions else {}),
        **({"placement": dataclasses.asdict(model.conditions.placement)} if model.conditions else {}),
    }


def _shapes(text: CaptionEncoder) -> list[dict[str, Any]] | None:
    if isinstance(text, UnreadCaptions):
        return []
    if not isinstance(text, TextConditioner):
        return None
    configs = [dataclasses.asdict(encoder.config) for encoder in text.each()]
    return [{name: value for name, value in config.items() if name not in NOT_SHAPE} for config in configs]


def save(folder: Path, model: Diffusion, weights: dict[str, Tensor], beside: Iterable[Path] = ()) -> None:
    """Writes a model folder.

    Args:
        folder: existing and empty.
        model: says what the weights mean.
        weights: of its `state_dict`, contiguous, float32, on the CPU.
        beside: folders of frozen encoders that go with it.
    """
    weights = {name: value for name, value in weights.items() if not name.startswith(TRAINING_ALONE)}
    about = {"kind": KIND, "model": described(model), "training": _decisive(model.config)}
    (folder / "config.json").write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
    if isinstance(model.text, PipelineTextEncoder):
        words, weights = parted(weights)
        model.text.save(folder, words)
    elif isinstance(model.text, TextConditioner):
        weights = model.text.save(folder / TEXTS, weights, "text.")
    save_file(weights, folder / WEIGHTS)
    for source in beside:
        shutil.copytree(source, folder / source.name)
    if model.picture is not None:
        model.picture.encoder.save(folder / ENCODER)


def _decisive(value: Any) -> Any:
    """A config without what cannot change a model (workers, memory): equal models are equal files."""
    if isinstance(value, tuple):
        return [_decisive(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = [field.name for field in dataclasses.fields(value) if not field.metadata.get("neutral")]
    return {name: _decisive(getattr(value, name)) for name in fields}


def read(folder: Path) -> dict[str, Any]:
    """What `described` said of the model in a folder. ValueError: no such folder, or another kind of
    model."""
    file = folder / "config.json"
    if not file.exists():
        raise ValueError(f"{folder}: no config.json in it; a model folder of the {KIND} objective holds one")
    about = json.loads(file.read_text())
    if about.get("kind") != KIND:
        raise ValueError(f"{folder}: holds a model of kind {about.get('kind')!r}; {KIND!r} is needed")
    return about["model"]


def load(folder: Path, *, learn: bool = False, own: OwnParts = NOTHING) -> Diffusion:
    """The model in a folder, on the CPU.

    How it was trained is left at defaults, so that a model stays readable when the choices of training
    change.
    learn: it will be trained on; else its text encoder may be frozen.
    own: the classes that its maker brought.
    ValueError: no such folder, another kind of model, or `own` has other parts than it was made with."""
    settings = read(folder)
    own.check(settings.get("own", ()), folder)
    name = settings["network"]
    described = ("size", "network", name) if name else ("size",)
    chosen = {key: settings[key] for key in described if key != "unet2d"}
    if settings["text"]:
        chosen["text"], *chosen["texts"] = settings["text"]
    chosen["sampling"] = settings["sampling"]
    chosen["data"] = {"augment": float(settings.get("augment", False))}
    config = adapter_of(TrainConfig).validate_python(chosen)
    space = Space.from_dict(settings["space"]) if "space" in settings else PIXELS
    text = own.condition() if own.condition else _text(folder, config, settings, learn)
    conditions = None
    if "conditions" in settings:
        placement = Placement(**settings["placement"])
        conditions = Conditions(read_layouts(settings["conditions"], folder), placement)
    pooled = text.pooled_width + (conditions.pooled_width if conditions else 0)
    beside = conditions.channels if conditions else 0
    process = ForwardProcess.restored(settings["noise"])
    if own.network:
        network = own.network(channels=space.channels, pooled_width=pooled, token_width=text.token_width)
    elif name == "unet2d":
        network = UNet2D(settings[name], process.schedule, padded=text.padded, beside=beside)
    else:
        network = build_denoiser(
            config,
            space,
            pooled,
            text.token_width,
            process.schedule,
            padded=text.padded,
            beside=beside,
            maps=settings.get("maps"),
        )
    pictures = autoencoder.load_autoencoder(folder / AUTOENCODER) if space.latent else None
    model = Diffusion(config, text, network, process, space, pictures, own.names, conditions=conditions)
    weights = load_file(folder / WEIGHTS)
    # Text encoders have weights of their own, which are there already.
    apart: tuple[str, ...] = ()
    if isinstance(text, PipelineTextEncoder):
        apart = ("text.",)
    elif isinstance(text, TextConditioner):
        apart = (f"text.{ENCODERS}",)
    names = {key for key in model.state_dict() if not key.startswith(apart)}
    if missing := names ^ weights.keys():
        raise ValueError(f"{folder}: {WEIGHTS} and config.json do not belong together: {sorted(missing)[:3]}")
    model.load_state_dict(weights, strict=False)
    apply_adapter(folder, model)
    return model


def parted(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those of the text encoder, under its own names, and the others."""
    words = {name.removeprefix("text."): value for name, value in weights.items() if name.startswith("text.")}
    return words, {name: value for name, value in weights.items() if not name.startswith("text.")}


def _text(folder: Path, config: TrainConfig, settings: dict[str, Any], learn: bool) -> CaptionEncoder:
    if settings["text"]:
        pooled = settings["network"] != "unet2d"
        return TextConditioner.load((config.text, *config.texts), folder / TEXTS, pooled=pooled)
    if settings["text"] is not None:
        return UnreadCaptions()
    changed = (folder / ADAPTER).is_dir()  # and it may be the text encoder that is
    if settings["text_learns"] and (learn or changed):
        return PipelineTextEncoder.load(folder, settings["text_length"])
    return frozen.load_text_encoder(folder, settings["text_length"])
