"""The folder of a pretrained text encoder: the encoder's own, which a denoiser or another pretraining starts
from, and beside it the heads and the image tower."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from sdmodel.config.adapter import adapter_of
from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.pretrain.labels import Column, Labels
from sdmodel.pretrain.model import Pretraining
from sdmodel.text import build
from sdmodel.weights import submodule_weights

ABOUT, HEADS, TOWER = "pretrain.json", "heads.safetensors", "tower.safetensors"
ENCODER_NAMES, TOWER_NAMES = "encoder.", "pairing.tower."
"""Beginnings of the names of weights; the others are the heads'."""


def save(folder: Path, model: Pretraining, config: TrainConfig, weights: dict[str, Tensor]) -> None:
    """Writes these weights, by the names of `model.state_dict()`, into an existing empty folder."""
    model.encoder.save(folder, submodule_weights(weights, ENCODER_NAMES))
    if tower := submodule_weights(weights, TOWER_NAMES):
        save_file(tower, folder / TOWER)
    if heads := {
        name: value for name, value in weights.items() if not name.startswith((ENCODER_NAMES, TOWER_NAMES))
    }:
        save_file(heads, folder / HEADS)
    columns = model.labels.labels.columns if model.labels else {}
    # start and clusters are places on the machine that trained it.
    about = {
        "size": config.size,
        "text": {**asdict(model.encoder.config), "start": ""},
        "contrastive": asdict(config.contrastive),
        "pretrain": {**asdict(config.pretrain), "clusters": ""},
        "labels": [{"column": name, **asdict(column)} for name, column in columns.items()],
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")


def load(folder: Path, labels: Path | None = None) -> Pretraining:
    """What `save` wrote, in evaluation mode.

    labels: a table with some of the columns that were learned, to compare with; None: nothing is known.
    ValueError: the folder holds none."""
    about = read_about(folder)
    # What ends a training is no part of the model, and asks for validations, which are none here.
    learned = {**about["pretrain"], "columns": [column["column"] for column in about["labels"]], "flips": 0.0}
    config = replace(
        TrainConfig(objective="text", size=about["size"]),
        text=adapter_of(TextConfig).validate_python(about["text"]),
        contrastive=adapter_of(ContrastiveConfig).validate_python(about["contrastive"]),
        pretrain=adapter_of(PretrainConfig).validate_python(learned),
    )
    columns = {label["column"]: Column(tuple(label["classes"]), label["tags"]) for label in about["labels"]}
    table = Labels.read(labels, list(columns), known=columns) if labels and columns else Labels(columns, {})
    model = Pretraining(config, build.load(folder, config.text), (), table)
    load_heads(model, folder)
    return model.eval()


def load_heads(model: Pretraining, folder: Path) -> None:
    """Puts a folder's heads and tower into a model, as far as both have them.

    ValueError: they have other shapes, or labels of other classes."""
    learned = {label["column"]: label for label in read_about(folder)["labels"]}
    for name, column in (model.labels.labels.columns if model.labels else {}).items():
        other = learned.get(name)
        if other and tuple(other["classes"]) != column.classes:
            raise ValueError(
                f"{folder}: learned {len(other['classes'])} classes of {name!r}, and the labels have "
                f"{len(column.classes)}, not the same; name the folder in text.start, which takes the "
                "encoder alone"
            )
    heads = load_file(folder / HEADS) if (folder / HEADS).exists() else {}
    tower = load_file(folder / TOWER) if (folder / TOWER).exists() else {}
    saved = heads | {TOWER_NAMES + name: value for name, value in tower.items()}
    own = model.state_dict()
    both = {name: value for name, value in saved.items() if name in own}
    if wrong := sorted(name for name, value in both.items() if value.shape != own[name].shape):
        name = wrong[0]
        raise ValueError(
            f"{folder}: {name} has the shape {tuple(both[name].shape)}, and the config asks for "
            f"{tuple(own[name].shape)}; name the folder in text.start, which takes the encoder alone"
        )
    model.load_state_dict(both, strict=False)


def read_about(folder: Path) -> dict[str, Any]:
    """The description of a folder's heads, `pretrain.json`. ValueError: no training of the text objective
    wrote it."""
    if not (folder / ABOUT).exists():
        raise ValueError(
            f"{folder}: has no {ABOUT}, which a training of the text objective writes; name a text encoder "
            "in text.start"
        )
    return json.loads((folder / ABOUT).read_text())
