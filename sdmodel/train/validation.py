"""Validation inside the loop: the same rows at the same times in the same noise, every time.

What differs from one validation to the next is the model alone, so that small steps show. Rows of the train
split are measured beside those of the validation split: over-fitting is the gap between the two.
With two splits and two sets of weights, a validation of n rows goes forward 4 n times and never backward: it
takes about as long as training on 4 n / 3 images.

An objective's `errors(batch)` gives sums over a batch's rows, by name. Those named in
`sdmodel.evaluate.regression.SUMS` come together, (levels,) each, and become mse, rmse, mae and r2, in all and
for each level. Any other that is () is a loss and becomes a mean over rows; one that is (2,) is a sum and the
number that it is of, and becomes their quotient. A row of metrics holds them as "validation/mse@3",
"validation/ema/mse" (of the averaged weights) and "train/...".

An objective whose `enough` is not None ends the training by it.
"""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sdmodel.config.learning import DataConfig, ValidationConfig
from sdmodel.config.sizes import Stages, images_left, size_at
from sdmodel.config.train import TrainConfig
from sdmodel.data.sized_stream import SizedStream
from sdmodel.data.stream import Stream
from sdmodel.evaluate.regression import SUMS, figures
from sdmodel.objective import Objective
from sdmodel.train.dtensors import unsharded
from sdmodel.train.early_stopping import EarlyStopping
from sdmodel.train.ema import WeightAverages
from sdmodel.train.grids import Grid


class Validator:
    """Measures the model and ends the training when it no longer improves (early stopping); every process
    runs it."""

    def __init__(
        self,
        objective: Objective,
        train: Stream | SizedStream,
        validation: Stream | SizedStream,
        config: ValidationConfig,
        *,
        stages: Stages = ((0, 1),),
        grid: Grid | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ):
        """Args:
        objective: what is trained; its modules lie on their device.
        train: rows of the train split, see `data_config` and `batch_size`.
        validation: rows of the validation split.
        config: how many rows, rounded up to whole batches. A smaller split is gone through again, at other
            times and in other noise.
        stages: of sizes. Rows are measured, and samples drawn, at the size that was learned from last; errors
            of different sizes are not compared, so that only those of the last one are waited for.
        grid: samples are drawn for it, in the main process alone.
        autocast: makes a new context with the precision to compute in; none is to surround `run`."""
        self.objective, self.grid, self.autocast = objective, grid, autocast
        self.rows = {"validation": validation, "train": train}
        self.config, self.stages = config, stages
        self.early_stopping = EarlyStopping(config.patience)
        self.improved = False
        """Whether the averaged weights of the last `run` are the best so far."""

    @property
    def stopped(self) -> bool:
        """Whether it is time to stop early."""
        return self.early_stopping.stopped

    def run(self, images: int, averages: WeightAverages) -> dict[str, float]:
        """Measures after `images` images, by name, the same on all processes. The training goes on as if
        nothing had been measured."""
        modules = self.objective.modules
        # An autocast for each set of weights: within one, the first cast of a weight serves again, whatever
        # was put in its place. Weights that are sharded are gathered after they are swapped.
        with unsharded(modules), evaluating(modules), self.autocast():
            measures = self._measures("", images)
        with averages.swapped(), unsharded(modules), evaluating(modules), self.autocast():
            measures |= self._measures("ema/", images)
            if self.grid:
                self.grid.draw(images, size_at(self.stages, images - 1))
        error = measures["validation/ema/mse" if "validation/ema/mse" in measures else "validation/ema/loss"]
        enough = self.objective.enough is not None and self.objective.enough(measures)
        last = len(images_left(self.stages, images - 1)) <= 1
        self.improved = last and self.early_stopping.update(images, error, enough)
        return measures

    @property
    def best(self) -> dict[str, float | None]:
        """The best validation: {"images" seen, "error" of the averaged weights}, None where no error was a
        number."""
        return {"images": self.early_stopping.images, "error": self.early_stopping.error}

    def state(self) -> dict[str, Any]:
        """Its state for a checkpoint, as JSON."""
        return self.early_stopping.state()

    def load(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned; nothing of a training that was not validated until then."""
        if state:
            self.early_stopping.load(state)

    def _measures(self, kind: str, images: int) -> dict[str, float]:
        size = size_at(self.stages, images - 1)
        return {
            f"{split}/{kind}{name}": value
            for split, rows in self.rows.items()
            for name, value in means(self._sums(rows.of(size))).items()
        }

    def _sums(self, rows: Stream) -> dict[str, Tensor]:
        """Sums over all rows and processes, on the CPU; "rows" is their number."""
        device = next(self.objective.modules.parameters()).device
        sums: dict[str, Tensor] = {}
        for number in range(math.ceil(self.config.rows / rows.batch)):
            batch = rows.at(number * rows.batch).to(device)
            errors = self.objective.errors(batch)
            errors = {**errors, "rows": torch.tensor(float(len(batch)), device=device)}
            for name, value in errors.items():
                sums[name] = sums[name] + value.double() if name in sums else value.double()
        flat = torch.cat([value.reshape(-1) for value in sums.values()])
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(flat)
        parts = flat.cpu().split([value.numel() for value in sums.values()])
        return {name: part.view(sums[name].shape) for name, part in zip(sums, parts, strict=True)}


def means(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """What sums come to, see the head of this file; "loss" is the sum of all that are means over rows. A
    quotient of nothing is left out."""
    rows = float(sums["rows"])
    own = {name: value for name, value in sums.items() if name != "rows" and name not in SUMS}
    measures = {name: float(value) / rows for name, value in own.items() if value.ndim == 0}
    if measures:
        measures["loss"] = math.fsum(measures.values())
    measures |= {name: float(value[0] / value[1]) for name, value in own.items() if value.ndim and value[1]}
    return figures(sums) | measures if "squared" in sums else measures


def data_config(data: DataConfig) -> DataConfig:
    """How the rows to measure are seen: as in training, but as they are, and each as often."""
    once = replace(data, copies=0.0, weight="", uncaptioned=1.0)
    return replace(once, flip=False, crop=False, colour=0.0, augment=0.0)


def batch_size(config: TrainConfig, processes: int) -> int:
    """Images in a global batch of the rows to measure: the largest part of a training's batch that is no more
    than are to be measured, so that other numbers of processes measure the same as far as they can share it;
    at least one for each process."""
    most = max(processes, min(config.batch, config.validation.rows))
    return max(size for size in range(processes, most + 1, processes) if config.batch % size == 0)


@contextmanager
def evaluating(modules: nn.Module) -> Generator[None]:
    """Evaluation mode, in which the model does not learn: no gradients, no dropout, running
    statistics stay. Afterwards all is as before, torch's random numbers too.

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
