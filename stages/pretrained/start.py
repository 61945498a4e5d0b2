"""What a training starts from: one of our models, or a pipeline's folder in Stable Diffusion's layout."""

from collections.abc import Mapping
from pathlib import Path

from sdmodel.pipeline_family import layout_of
from stages.artifacts.artifact import Artifact, Snapshot
from stages.artifacts.reference import resolve
from stages.pretrained.files import WORDS, matching, model_files, snapshot_of
from stages.store import Store

MODELS, TEXTS = ("unet", "vae", "text_encoder"), ("scheduler", "tokenizer")
"""Folders of a pipeline: those with weights, and those with words alone."""


def start_input(store: Store, text: str) -> Snapshot | Artifact | None:
    """What `TrainConfig.start` names, as an input of train; None where it names nothing.

    Args:
        store: where models are.
        text: a pipeline's folder, or a reference to one of our models.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None
    if Path(text).is_dir():
        return snapshot_of(pipeline_files(Path(text)))
    try:
        model = resolve(store, text)
    except ValueError as error:
        raise ValueError(f"train.start={text!r} is no folder here, and {error}") from error
    if not model.names("model/"):
        raise ValueError(f"train.start={text!r} is no model but {model.short_name}")
    return model


def start_folder(start: Snapshot | Artifact | None, text: str, folder: Path) -> Path | None:
    """Where the model to start from lies: its own folder, or links to it in `folder`.

    start: `start_input(store, text)`. ValueError: what is in the pipeline's folder has changed since."""
    if start is None:
        return None
    if isinstance(start, Artifact):
        return start.lay("model/", folder)
    if snapshot_of(pipeline_files(Path(text))).digest != start.digest:
        raise ValueError(f"train.start={text!r} has changed since it was looked at; start the run again")
    return Path(text).resolve()


def pipeline_files(folder: Path) -> Mapping[str, Path]:
    """Files of a pipeline's parts. ValueError: it has no UNet, or is of a family that no training starts
    from."""
    try:
        layout = layout_of(folder)
    except ValueError as error:
        raise ValueError(f"train.start: {error}; our own models go by reference, models/NAME") from error
    if layout.unet == folder:  # an unconditional one, all at its top
        paths = {**model_files(folder), layout.scheduler.name: layout.scheduler}
    else:
        parts = {part: model_files(folder / part) for part in MODELS}
        parts |= {part: matching(folder / part, WORDS) for part in TEXTS}
        paths = {f"{part}/{name}": path for part, files in parts.items() for name, path in files.items()}
    if layout.scheduler not in paths.values() or not layout.scheduler.is_file():
        raise ValueError(f"train.start={str(folder)!r}: no scheduler_config.json beside its UNet")
    if not any(path.parent == layout.unet and path.suffix == ".safetensors" for path in paths.values()):
        raise ValueError(
            f"train.start={str(folder)!r}: no *.safetensors beside {layout.unet / 'config.json'}; download "
            "the weights in that format"
        )
    return paths
