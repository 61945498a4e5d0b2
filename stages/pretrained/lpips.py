"""Weights of LPIPS that a config names, in a local file or folder: an input of the training."""

from collections.abc import Mapping
from pathlib import Path

from stages.artifacts.artifact import Snapshot
from stages.pretrained.files import snapshot_of

SAFE = ".safetensors"


def lpips_input(text: str) -> Snapshot | None:
    """Which weights a path means now, as a stage's input; None where it is empty.

    ValueError: there are none as safetensors."""
    return snapshot_of(_files(Path(text))) if text else None


def _files(path: Path) -> Mapping[str, Path]:
    files = sorted(path.glob(f"*{SAFE}")) if path.is_dir() else [path] * path.is_file()
    if not files or any(file.suffix != SAFE for file in files):
        raise ValueError(
            f"train.autoencoder.lpips={str(path)!r}: no weights as {SAFE} there; convert those of VGG16 "
            "(features.N.weight) and of LPIPS (linN.model.1.weight), no pickle is read"
        )
    return {file.name if path.is_dir() else "lpips.safetensors": file for file in files}
