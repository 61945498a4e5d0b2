"""Frozen encoders in folders of diffusers and transformers: which files count, and what they hash to."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from re import Pattern, compile
from typing import Any

from sdmodel.config.buckets import bucket_shapes
from sdmodel.variant import weight_names
from stages.artifacts.artifact import Artifact, Snapshot
from stages.artifacts.reference import resolve
from stages.config.encode import EncodeConfig
from stages.fingerprint import fingerprint_of, sha256_of
from stages.store import Store

WORDS = compile(r".+\.(json|txt)")
"""Files of a tokenizer."""


def autoencoder_input(store: Store, text: str) -> Snapshot | Artifact | None:
    """The autoencoder that a config names, as a stage's input; None where it names none.

    Args:
        store: where models are.
        text: a folder, or a reference to one of our models.

    Raises:
        ValueError: it is neither, or holds no autoencoder.
    """
    if not text:
        return None
    if Path(text).is_dir():
        return snapshot_of(autoencoder_files(Path(text)))
    try:
        model = resolve(store, text)
    except ValueError as error:
        raise ValueError(f"encode.autoencoder={text!r} is no folder here, and {error}") from error
    named = model.json("model/config.json") if "model/config.json" in model.files else {}
    if named.get("_class_name") != "AutoencoderKL":
        raise ValueError(
            f"encode.autoencoder={text!r} is no autoencoder; name a model that train made with objective "
            "autoencoder"
        )
    return model


def autoencoder_config(store: Callable[[], Store], text: str) -> Mapping[str, Any]:
    """What diffusers' config.json of the autoencoder says that a config names.

    store: opens where models are, if it is one of ours. ValueError: it is no autoencoder."""
    if Path(text).is_dir():
        return json.loads(autoencoder_files(Path(text))["config.json"].read_text())
    model = autoencoder_input(store(), text)
    assert isinstance(model, Artifact)
    return model.json("model/config.json")


def factor_of(model: Mapping[str, Any]) -> int:
    """Pixels to a side of one place of an autoencoder's latents, by its config.json."""
    return 2 ** (len(model["block_out_channels"]) - 1)


def check_fits(config: EncodeConfig, model: Mapping[str, Any]) -> None:
    """ValueError: a side of the pictures is no multiple of what the autoencoder makes one place of.

    model: its config.json."""
    factor = factor_of(model)
    for height, width in bucket_shapes(config.size, config.buckets, config.max_aspect):
        if height % factor or width % factor:
            near = max(1, round(config.size / factor)) * factor
            raise ValueError(
                f"encode.size={config.size}: pictures of {height} x {width} pixels do not fit the "
                f"autoencoder {config.autoencoder!r}, which makes one place of {factor} x {factor}; take "
                f"sides that are multiples of {factor}, as encode.size={near} and train.size={near}"
            )


def text_input(text: str) -> Snapshot | None:
    """The text encoder in a folder, as a stage's input; None where no folder is named.

    ValueError: it holds none."""
    return snapshot_of(text_files(Path(text))) if text else None


def autoencoder_files(folder: Path) -> Mapping[str, Path]:
    """`config.json` and the weights of an autoencoder's folder, or of the `vae` in a pipeline's.

    ValueError: it is none."""
    inside = folder / "vae" if (folder / "vae").is_dir() else folder
    files = model_files(inside)
    _check(inside, files, "AutoencoderKL", "encode.autoencoder")
    return files


def text_files(folder: Path) -> Mapping[str, Path]:
    """Files of `text_encoder/` and `tokenizer/` in a pipeline's folder. ValueError: it has none."""
    model, tokenizer = model_files(folder / "text_encoder"), matching(folder / "tokenizer", WORDS)
    _check(folder / "text_encoder", model, "CLIPText", "encode.text")
    if not tokenizer:
        raise ValueError(f"encode.text={str(folder)!r}: no tokenizer/ in it; copy that of the pipeline there")
    return {
        **{f"text_encoder/{name}": path for name, path in model.items()},
        **{f"tokenizer/{name}": path for name, path in tokenizer.items()},
    }


def copy_files(files: Mapping[str, Path], folder: Path) -> Path:
    """Copies files below a folder, by their names in it; returns the folder."""
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return folder


def model_files(folder: Path) -> dict[str, Path]:
    """`config.json` and the weights of a model's folder, by name: the plain ones, else those of its variant;
    no pickles. ValueError: it has several variants and no plain weights."""
    names = [*(["config.json"] if (folder / "config.json").is_file() else []), *weight_names(folder)]
    return {name: folder / name for name in names}


def matching(folder: Path, names: Pattern[str]) -> dict[str, Path]:
    """The files of a folder whose whole names match, by name; none where there is no folder."""
    if not folder.is_dir():
        return {}
    return {path.name: path for path in sorted(folder.iterdir()) if names.fullmatch(path.name)}


def _check(folder: Path, files: Mapping[str, Path], kind: str, key: str) -> None:
    """ValueError: there is no config of such a model, or there are no weights."""
    config = json.loads(files["config.json"].read_text()) if "config.json" in files else {}
    classes = [str(name) for name in (config.get("_class_name"), *config.get("architectures", ())) if name]
    if not any(name.startswith(kind) for name in classes) or not any(
        name.endswith(".safetensors") for name in files
    ):
        raise ValueError(
            f"{key}: {folder} holds no {kind} model with config.json and .safetensors (its config names "
            f"{', '.join(classes) or 'none'}); download one in diffusers' layout, weights as safetensors"
        )


def snapshot_of(files: Mapping[str, Path]) -> Snapshot:
    """Some files as an input: what is in them counts, not where they lie."""
    hashes = {name: sha256_of(path) for name, path in files.items()}
    return Snapshot(fingerprint_of(hashes), {"files": hashes})
