"""model: what train and average make. Weights have learned from pictures, and none can be cut out of them.

The grids in `samples/` are what the model draws for captions of the config; none shows a picture of the
dataset.
"""

from collections.abc import Mapping
from typing import Any

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON
from stages.kind import Kind, input_name, no_pixels


def _derived(model: Artifact) -> dict[str, object]:
    return {"what": "a model trained on it", "images": model.statistics.get("images")}


def _settings(model: Artifact) -> Mapping[str, JSON]:
    """What a training began with. A continuation says how far the model before had come, too: its name with
    that is among the statistics."""
    settings: dict[str, JSON] = {}
    for name, recorded in model.manifest.inputs.items():
        if not recorded or ("." in name and not name.startswith(("texts.", "encoders.", "labels."))):
            continue
        if name == "start" and "continue_from" in model.statistics:
            settings["continue_from"] = model.statistics["continue_from"]
        elif name == "start":
            settings["start"] = input_name(model, name)
        elif name == "labels":
            settings["pretrain.clusters"] = input_name(model, name)
        elif name.startswith("labels."):
            settings |= _pseudo(model, name)
        elif name.startswith("encoders."):
            key = "encoder" if recorded["fingerprint"] else "autoencoder.lpips"
            settings[key] = input_name(model, name)
        elif name.startswith("texts."):
            number = int(name.removeprefix("texts."))
            key = f"texts.{number - 1}.start" if number else "text.start"
            settings[key] = input_name(model, name)
    return settings


def _pseudo(model: Artifact, name: str) -> Mapping[str, JSON]:
    """Of which column of the conditions a table of pseudo-labels is, says the table."""
    table = model.input(name) if model.dropped is None else None  # else it may be forgotten, too
    if table is None:
        return {}
    columns: Any = (model.config.get("conditions") or {}).get("columns", [])
    named = [number for number, each in enumerate(columns) if each["column"] == table.config["column"]]
    return {f"conditions.columns.{number}.pseudo.labels": input_name(model, name) for number in named}


MODEL = Kind(
    name="model",
    pixels=no_pixels,
    purged="nothing: weights cannot forget; train again",
    derived=_derived,
    settings=_settings,
    learns=True,
    outlives=("dataset", "latents"),
)
