"""The state of a training: what a checkpoint is written from and a resume restores."""

from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.train import TrainConfig
from sdmodel.objective import Objective
from sdmodel.train import checkpoint, dtensors
from sdmodel.train.ema import WeightAverages
from sdmodel.train.fsdp import place
from sdmodel.train.job import ContinuedFrom
from sdmodel.train.metrics import Metrics
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.statistics import TrainingStatistics
from sdmodel.train.validation import Validator


class TrainingState:
    """Weights, momenta, averages, training statistics, and what validation remembers."""

    def __init__(
        self, objective: Objective, config: TrainConfig, accelerator: Accelerator, validator: Validator | None
    ) -> None:
        """Places the objective's modules on their device and makes their optimizers and averages."""
        self.config, self.main, self.validator = config, accelerator.is_main_process, validator
        self.modules = place(objective, config, accelerator)
        self.optimizers = optimizers(self.modules, config.learning, objective.players)
        self.averages = WeightAverages(self.modules, config.ema, config.batch)
        self.statistics = TrainingStatistics(config.guard, accelerator.device, max(1, len(objective.players)))
        self.best: dict[str, Tensor] | None = None
        """Averaged weights of the best validation, where they are published; the main process alone has them,
        others an empty dict."""

    def resume(
        self, root: Path, warn: Callable[[str], None], continued: ContinuedFrom | None = None
    ) -> tuple[int, str]:
        """Restores the newest complete checkpoint below `root`, or the one of another training that this one
        goes on with; returns its images seen and its text of metrics.jsonl, (0, "") where there is none.

        ValueError: it is of another model, or the other training's is damaged."""
        latest, own = checkpoint.newest(root, warn), True
        if latest is None and continued:
            latest, own = checkpoint.read(continued.checkpoint), False
        if latest is None:
            return 0, ""
        try:
            dtensors.load(self.modules, latest.tensors["model"])
            self.averages.load(latest.tensors["averages"])
            checkpoint.restore_optimizers(self.modules, self.optimizers, latest.tensors["optimizer"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{latest.folder} is of another model than the config's: {error}") from error
        self.statistics.load(latest.tensors["statistics"], latest.facts["statistics"])
        if own or self._goes_on_validating(latest, continued):
            self._restore_validation(latest)
        if self.validator and not own:
            self.validator.early_stopping.go_on()
        return latest.images, latest.metrics

    def _goes_on_validating(self, latest: checkpoint.Checkpoint, continued: ContinuedFrom | None) -> bool:
        """Whether what validation remembers of another training counts: it measured the same, and where
        patience chooses weights there are those of the least error."""
        chooses = bool(self.config.validation.patience)
        return bool(continued and continued.same_measure) and chooses == ("best" in latest.tensors)

    def _restore_validation(self, latest: checkpoint.Checkpoint) -> None:
        if self.validator:
            self.validator.load(latest.facts["validation"])
        if "best" in latest.tensors:
            weights = latest.tensors["best"]  # in files, which take their room until nothing refers to them
            self.best = {name: value.clone() for name, value in weights.items()} if self.main else {}

    def validate(self, images: int) -> dict[str, float]:
        """The measures of a validation, by name; the best weights so far are kept where patience says so."""
        assert self.validator
        measures = self.validator.run(images, self.averages)
        if self.config.validation.patience and self.validator.improved:
            weights = self.averages.weights()  # all processes gather them
            self.best = weights if self.main else {}
        return measures

    def save(
        self, root: Path, images: int, metrics: Metrics | None, keep: Callable[[int], bool]
    ) -> Path | None:
        """Writes a checkpoint below `root`, gathered by all processes; returns its folder in the main one,
        which alone has `metrics`. OSError: it cannot be written."""
        sums, facts = self.statistics.state()
        tensors = {
            "model": dtensors.gather(dtensors.trained_state(self.modules)),
            "averages": dtensors.gather(self.averages.state()),
            "optimizer": dtensors.gather(checkpoint.optimizer_tensors(self.modules, self.optimizers)),
            "statistics": sums,
        }
        if self.best is not None:
            tensors["best"] = self.best
        if not metrics:
            return None
        memory = {"statistics": facts, "validation": self.validator.state() if self.validator else {}}
        return checkpoint.write(root, images, metrics.text(), tensors, memory, keep)

    def published(self) -> dict[str, Tensor]:
        """The weights that `Objective.save` takes: of the best validation, or the averages as they are."""
        return self.averages.weights() if self.best is None else self.best
