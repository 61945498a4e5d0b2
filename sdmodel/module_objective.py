"""Any module that computes losses, as an objective: for those who train with a loss of their own."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.data.batch import Batch

KIND = "module"
"""In config.json of its model folders."""
CONFIG, WEIGHTS = "config.json", "model.safetensors"


class ModuleObjective:
    """An `Objective` whose modules are the caller's.

    A model folder keeps the weights and names no class: whoever loads it makes the module again."""

    whole_batch = False
    readers = ()
    sample = None
    enough = None
    players = ()

    def __init__(self, modules: nn.Module) -> None:
        """modules: `forward(batch: Batch)` returns named losses, as `Objective.modules` says."""
        self.modules = modules
        self.heavy: list[nn.Module] = []

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """Sums of its losses."""
        losses: dict[str, Tensor] = self.modules(batch)
        return {name: loss.double() * len(batch) for name, loss in losses.items()}

    def start(self, folder: Path) -> None:
        """Takes the weights of a folder that `save` wrote. ValueError: it holds others than the module's."""
        file = folder / CONFIG
        kind = json.loads(file.read_text()).get("kind") if file.exists() else None
        if kind != KIND:
            raise ValueError(f"{folder}: holds no model of kind {KIND!r}, but {kind!r}")
        try:
            self.modules.load_state_dict(load_file(folder / WEIGHTS))
        except RuntimeError as error:
            raise ValueError(f"{folder}: its weights are of another module: {error}") from error

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes config.json and model.safetensors."""
        (folder / CONFIG).write_text(json.dumps({"kind": KIND}, indent=2) + "\n")
        save_file(weights, folder / WEIGHTS)
