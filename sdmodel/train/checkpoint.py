"""Checkpoints: all that a resume needs, in safetensors and JSON, complete or not there.

    checkpoints/000016000/
        model.safetensors       weights that are learned, running statistics
        averages.safetensors    averaged weights
        optimizer.safetensors   momenta, by parameter and name
        statistics.safetensors  training statistics that the next report will be made of
        best.safetensors        weights of the best validation, where it is what is published
        metrics.jsonl           what was reported until then
        state.json              images seen, small facts, SHA-256 of the files above

A checkpoint is written aside, fsynced and renamed. One that is damaged or incomplete is named and passed
over.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from sdmodel.train.dtensors import distribute
from sdmodel.train.optim.lion import Lion
from sdmodel.train.optim.muon import Muon

KEEP = 2
"""Checkpoints that stay: the newest, and one before it in case that is damaged."""
METRICS = "metrics.jsonl"
MOMENTUM, ONE_MOMENTUM = "momentum", (Muon, Lion)
"""Slot of the optimizers that keep nothing else of a parameter."""
STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    folder: Path
    images: int
    """Images seen when it was taken."""
    metrics: str
    """Text of metrics.jsonl."""
    tensors: dict[str, dict[str, Tensor]]
    """As they were given to `write`, on the CPU."""
    facts: dict[str, Any]
    """As they were given to `write`."""


def write(
    root: Path,
    images: int,
    metrics: str,
    tensors: Mapping[str, Mapping[str, Tensor]],
    facts: Mapping[str, Any],
    keep: Callable[[int], bool] = lambda images: False,
) -> Path:
    """Writes the checkpoint after `images` below `root` and drops older ones; returns its folder.

    Args:
        root: folder of all checkpoints of a training.
        images: images seen.
        metrics: text of metrics.jsonl.
        tensors: file name without ending -> name -> tensor, of any device and layout.
        facts: what JSON can say.
        keep: whether a checkpoint, by its images, stays for good; of the others the newest KEEP stay.

    Raises:
        OSError: it cannot be written (the disk is full, say); older checkpoints are untouched then.
    """
    final, aside = root / f"{images:09d}", root / f".{images:09d}"
    for left in root.glob(".*"):  # by one that was killed while it wrote or removed
        shutil.rmtree(left, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for name, group in tensors.items():
            _save({key: _on_cpu(value) for key, value in group.items()}, aside / f"{name}.safetensors")
        (aside / METRICS).write_text(metrics)
        digests = {path.name: _sha256(path) for path in sorted(aside.iterdir())}
        state = {"images": images, "facts": dict(facts), "sha256": digests}
        (aside / STATE).write_text(json.dumps(state, indent=1))
        for path in [*aside.iterdir(), aside]:
            _fsync(path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    _fsync(root)
    passing = [folder for folder in _folders(root) if not keep(int(folder.name))]
    for old in passing[:-KEEP]:
        shutil.rmtree(old.rename(root / f".{old.name}"))  # whoever copies it sees that it is gone
    return final


def newest(root: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest complete checkpoint below `root`; `warn` hears of each that is passed over."""
    for folder in reversed(_folders(root)):
        try:
            return read(folder)
        except ValueError as error:
            warn(f"checkpoint passed over: {error}")
    return None


def read(folder: Path) -> Checkpoint:
    """ValueError: it is incomplete or damaged; the message names the file."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text())
        for name, expected in state["sha256"].items():
            path = folder / name
            if (digest := _sha256(path)) != expected:
                raise ValueError(f"{path} is damaged: SHA-256 is {digest}, {STATE} says {expected}")
        files = [folder / name for name in state["sha256"] if name != METRICS]
        return Checkpoint(
            folder,
            int(state["images"]),
            (folder / METRICS).read_text(),
            {path.stem: load_file(path) for path in files},
            dict(state["facts"]),
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ValueError(f"{folder} is incomplete or damaged: {error!r}") from error


def optimizer_tensors(modules: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The optimizers' state by "PARAMETER:SLOT", parameters named as in `modules`."""
    return dict(_slots(modules, optimizers))


def restore_optimizers(
    modules: nn.Module, optimizers: list[torch.optim.Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """Restores what `optimizer_tensors` returned, in full tensors. KeyError: it names a parameter that is not
    in `modules`. ValueError: another optimizer learned one of them."""
    parameters = dict(modules.named_parameters())
    states: dict[Tensor, dict[str, Any]] = {}
    for key, value in tensors.items():
        name, slot = key.rsplit(":", 1)
        p = parameters[name]
        # Momenta get the parameter's memory layout, so that arithmetic goes on as it was.
        if value.shape == p.shape:
            if isinstance(p, DTensor):
                value = distribute(value, p)
            else:
                value = torch.empty_like(p, dtype=value.dtype, device="cpu").copy_(value)
        else:
            value = value.clone()  # so that nothing holds on to the file
        counted = slot == "step" and value.dtype == torch.int64
        states.setdefault(p, {})[slot] = int(value) if counted else value
    for optimizer in optimizers:
        whole = optimizer.state_dict()
        ordered: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
        single = isinstance(optimizer, ONE_MOMENTUM)
        strange = [p for p in ordered if p in states and single != (MOMENTUM in states[p])]
        if strange:
            name = next(name for name, p in parameters.items() if p is strange[0])
            raise ValueError(f"{name} was learned by another optimizer than {type(optimizer).__name__}")
        whole["state"] = {place: states[p] for place, p in enumerate(ordered) if p in states}
        optimizer.load_state_dict(whole)


def _slots(modules: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[tuple[str, Tensor]]:
    names: dict[Tensor, str] = {p: name for name, p in modules.named_parameters()}
    for optimizer in optimizers:
        for p, slots in optimizer.state.items():
            for slot, value in slots.items():
                yield f"{names[p]}:{slot}", torch.as_tensor(value)  # bitsandbytes counts in integers


def _on_cpu(value: Tensor) -> Tensor:
    return value.detach().to("cpu", copy=True).contiguous()


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # of a full disk, say
        raise OSError(f"{path} cannot be written: {error}") from error


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
