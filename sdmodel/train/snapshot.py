"""Snapshots: all that a resume needs, in safetensors and JSON, complete or not there.

    snapshots/000016000/model.safetensors      weights and running statistics
                        ema.safetensors        averaged weights
                        optimizer.safetensors  momenta, by parameter and name
                        metrics.jsonl          what was reported until then
                        state.json             images seen, SHA-256 of the files above

A snapshot is written aside, fsynced and renamed. One that is damaged or incomplete is named and passed over.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.train.ema import Ema

KEEP = 2
"""Snapshots kept: the newest, and one before it in case that is damaged."""
TENSORS = ("model", "ema", "optimizer")
FILES = (*(f"{name}.safetensors" for name in TENSORS), "metrics.jsonl")


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot on disk."""

    folder: Path
    images: int
    """Images seen when it was taken."""
    metrics: str
    """Text of metrics.jsonl."""
    tensors: dict[str, dict[str, Tensor]]
    """Of each of TENSORS."""


def write(
    root: Path,
    images: int,
    metrics: str,
    modules: nn.Module,
    ema: Ema,
    optimizers: list[torch.optim.Optimizer],
) -> Path:
    """Writes the snapshot after `images` below `root`, drops all but the newest KEEP; returns its folder."""
    final, aside = root / f"{images:09d}", root / f".{images:09d}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    tensors = {
        "model": {
            name: value.to("cpu", copy=True).contiguous() for name, value in modules.state_dict().items()
        },
        "ema": ema.weights(),
        "optimizer": dict(_optimizer_tensors(modules, optimizers)),
    }
    for name, held in tensors.items():
        save_file(held, aside / f"{name}.safetensors")
    (aside / "metrics.jsonl").write_text(metrics)
    state = {"images": images, "sha256": {name: _sha256(aside / name) for name in FILES}}
    (aside / "state.json").write_text(json.dumps(state, indent=1))
    for path in [*aside.iterdir(), aside]:
        _fsync(path)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    _fsync(root)
    for old in _folders(root)[:-KEEP]:
        shutil.rmtree(old)
    return final


def newest(root: Path, warn: Callable[[str], None]) -> Snapshot | None:
    """The newest complete snapshot below `root`; `warn` hears of each that is passed over."""
    for folder in reversed(_folders(root)):
        try:
            return read(folder)
        except ValueError as error:
            warn(f"snapshot passed over: {error}")
    return None


def read(folder: Path) -> Snapshot:
    """ValueError: it is incomplete or damaged; the message names the file."""
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        for name in FILES:
            path, expected = folder / name, state["sha256"][name]
            if (found := _sha256(path)) != expected:
                raise ValueError(f"{path} is damaged: SHA-256 is {found}, state.json says {expected}")
        tensors = {name: load_file(folder / f"{name}.safetensors") for name in TENSORS}
        return Snapshot(folder, int(state["images"]), (folder / "metrics.jsonl").read_text(), tensors)
    except (OSError, json.JSONDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder} is incomplete or damaged: {error!r}") from error


@torch.no_grad()
def restore(
    snapshot: Snapshot, modules: nn.Module, ema: Ema, optimizers: list[torch.optim.Optimizer]
) -> None:
    """Puts a snapshot back. ValueError: it is of another model."""
    try:
        modules.load_state_dict(snapshot.tensors["model"])
        ema.load(snapshot.tensors["ema"])
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{snapshot.folder} is of another model than the config's: {error}") from error
    parameters = dict(modules.named_parameters())
    state = {
        id(p): optimizer.state[p]
        for optimizer in optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    }
    for key, value in snapshot.tensors["optimizer"].items():
        name, slot = key.rsplit(":", 1)
        p = parameters[name]
        # Momenta get the parameter's device and memory layout, so that arithmetic goes on as it was; AdamW
        # counts on the CPU.
        state[id(p)][slot] = value.clone() if slot == "step" else torch.empty_like(p).copy_(value)


def _optimizer_tensors(
    modules: nn.Module, optimizers: list[torch.optim.Optimizer]
) -> Iterator[tuple[str, Tensor]]:
    names: dict[Tensor, str] = {p: name for name, p in modules.named_parameters()}
    for optimizer in optimizers:
        for p, slots in optimizer.state.items():
            for slot, value in slots.items():
                yield f"{names[p]}:{slot}", value.detach().to("cpu", copy=True).contiguous()


def _folders(root: Path) -> list[Path]:
    """Oldest first."""
    return sorted((path for path in root.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
