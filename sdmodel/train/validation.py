"""Validation inside the loop: the same rows at the same times in the same noise, every time.

What differs from one validation to the next is the model alone, so that small steps show. Rows of the train
split are measured beside those of the validation split: over-fitting is the gap between the two.
With two splits and two sets of weights, a validation of n rows goes forward 4 n times and never backward: it
takes about as long as training on 4 n / 3 images.

An objective's `errors(batch, generator)` gives sums over a batch's rows, by name. Those named in
`sdmodel.evaluate.regression.SUMS` come together, (levels,) each, and become mse, rmse, mae and r2, in all and
for each level. Any other that is () is a loss and becomes a mean over rows; one that is (2,) is a sum and the
number that it is of, and becomes their quotient. A row of metrics holds them as "validation/mse@3",
"validation/ema/mse" (of the averaged weights) and "train/...".

An objective that has `enough(figures)` ends the training by it, told all that was measured.
"""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sdmodel.config.learning import DataConfig, ValidationConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.evaluate.regression import SUMS, figures
from sdmodel.train.dtensors import opened
from sdmodel.train.early import Early
from sdmodel.train.grids import Grid


class Measured(Protocol):
    """An objective, as far as it is measured."""

    @property
    def modules(self) -> nn.Module:
        """The model."""
        ...

    def errors(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Sums over this process's rows."""
        ...


class Rows(Protocol):
    """The rows to measure: a `Stream` over a split, without augmentation."""

    batch: int
    """Images in a global batch."""

    def at(self, images_seen: int) -> Batch:
        """This process's share of the global batch after `images_seen` images."""
        ...


class Averaged(Protocol):
    """Averages of the weights, see ema.py."""

    def swapped(self) -> AbstractContextManager[None]:
        """Inside, the model has the averaged weights."""
        ...


class Validation:
    """Measures the model and says when it no longer improves; every process runs it."""

    def __init__(
        self,
        objective: Measured,
        train: Rows,
        validation: Rows,
        config: ValidationConfig,
        *,
        grid: Grid | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        """Args:
        objective: what is trained; its modules lie on their device.
        train: rows of the train split, see `data_config` and `batch_size`.
        validation: rows of the validation split.
        config: how many rows, rounded up to whole batches. A smaller split is gone through again, at other
            times and in other noise.
        grid: samples are drawn for it, in the main process alone.
        autocast: makes a new context with the precision to compute in; none is to surround `run`.

        ValueError: there is nothing to measure."""
        if config.rows < 1:
            raise ValueError(
                f"validation.rows={config.rows}: at least 1 is needed, and some hundreds tell more; "
                "validation.every=0 measures nothing"
            )
        self.objective, self.grid, self.autocast = objective, grid, autocast
        self.rows = {"validation": validation, "train": train}
        self.config = config
        self.early = Early(config.patience)
        self.improved = False
        """Whether the averaged weights of the last `run` are the best so far."""
        self.enough: Callable[[Mapping[str, float]], bool] = getattr(objective, "enough", lambda _: False)

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop early."""
        return self.early.stopped

    def run(self, images: int, averages: Averaged) -> dict[str, float]:
        """Measures after `images` images, by name, the same on all processes. The training goes on as if
        nothing had been measured."""
        modules = self.objective.modules
        # An autocast for each set of weights: within one, the first cast of a weight serves again, whatever
        # was put in its place. Weights that are shared out are gathered after they are swapped.
        with opened(modules), measuring(modules), self.autocast():
            told = self._told("")
        with averages.swapped(), opened(modules), measuring(modules), self.autocast():
            told |= self._told("ema/")
            if self.grid:
                self.grid.draw(images)
        error = told["validation/ema/mse" if "validation/ema/mse" in told else "validation/ema/loss"]
        self.improved = self.early.look(images, error, self.enough(told))
        return told

    @property
    def best(self) -> dict[str, float | None]:
        """The best validation: {"images" seen, "error" of the averaged weights}, None where no error was a
        number."""
        return {"images": self.early.images, "error": self.early.error}

    def state(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        return self.early.state()

    def load(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave; nothing of a training that was not validated until then."""
        if state:
            self.early.load(state)

    def _told(self, kind: str) -> dict[str, float]:
        return {
            f"{split}/{kind}{name}": value
            for split, rows in self.rows.items()
            for name, value in means(self._sums(rows)).items()
        }

    def _sums(self, rows: Rows) -> dict[str, Tensor]:
        """Sums over all rows and processes, on the CPU; "rows" is their number."""
        device = next(self.objective.modules.parameters()).device
        generator = torch.Generator(device)
        sums: dict[str, Tensor] = {}
        for number in range(math.ceil(self.config.rows / rows.batch)):
            batch = rows.at(number * rows.batch).to(device)
            # The same for every training, so that trainings of different seeds can be compared.
            generator.manual_seed(number)
            found = self.objective.errors(batch, generator)
            found = {**found, "rows": torch.tensor(float(len(batch)), device=device)}
            for name, value in found.items():
                sums[name] = sums[name] + value.double() if name in sums else value.double()
        flat = torch.cat([value.reshape(-1) for value in sums.values()])
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(flat)
        parts = flat.cpu().split([value.numel() for value in sums.values()])
        return {name: part.view(sums[name].shape) for name, part in zip(sums, parts, strict=True)}


def forward_errors(modules: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """The losses themselves, times rows: `errors` of an objective that has no other measure."""
    losses: dict[str, Tensor] = modules(batch, generator)
    return {name: loss.double() * len(batch) for name, loss in losses.items()}


def means(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """What sums come to, see the head of this file; "loss" is the sum of all that are means over rows. A
    quotient of nothing is left out."""
    rows = float(sums["rows"])
    own = {name: value for name, value in sums.items() if name != "rows" and name not in SUMS}
    told = {name: float(value) / rows for name, value in own.items() if value.ndim == 0}
    if told:
        told["loss"] = math.fsum(told.values())
    told |= {name: float(value[0] / value[1]) for name, value in own.items() if value.ndim and value[1]}
    return figures(sums) | told if "squared" in sums else told


def data_config(data: DataConfig) -> DataConfig:
    """How the rows to measure are seen: as in training, but as they are, and each as often."""
    return replace(data, flip=False, crop=False, colour=0.0, augment=0.0, copies=0.0, weight="")


def batch_size(config: TrainConfig, processes: int) -> int:
    """Images in a global batch of the rows to measure: no more than are to be measured, or trained on at
    once."""
    return max(1, min(config.batch, config.validation.rows) // processes) * processes


@contextmanager
def measuring(modules: nn.Module) -> Generator[None]:
    """Inside, the model does not learn: no gradients, no dropout, running statistics stay. Afterwards all is
    as before, torch's random numbers too.

    Not inference mode: what a model keeps for later in there (tables of positions) could not be learned
    from."""
    training = [(module, module.training) for module in modules.modules()]
    learned = [(parameter, parameter.requires_grad) for parameter in modules.parameters()]
    device = next(modules.parameters()).device
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(forked), torch.no_grad():
        modules.eval()
        try:
            yield
        finally:
            for module, was in training:
                module.training = was
            for parameter, was in learned:
                parameter.requires_grad_(was)
