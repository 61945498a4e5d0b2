"""The training loop. Time is images seen; what happens at a time is a function of (seed, images seen).

The shape is that of edm2 (Karras et al. 2024, https://github.com/NVlabs/edm2, training/training_loop.py). A
run goes on from the newest complete checkpoint in the training's folder; progress, warnings and each new
checkpoint are reported, by the main process alone.
"""

from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.sizes import images_left
from sdmodel.config.train import TrainConfig
from sdmodel.data.sized_stream import SizedStream
from sdmodel.data.stream import Stream
from sdmodel.objective import Objective
from sdmodel.train.fit import fewest_parts, largest, largest_of
from sdmodel.train.job import ContinuedFrom
from sdmodel.train.metrics import Gauge, Metrics
from sdmodel.train.optim.schedule import rate
from sdmodel.train.process.messages import Message
from sdmodel.train.state import TrainingState
from sdmodel.train.step import TrainStep
from sdmodel.train.validation import Validator

REPORTS = 200
"""Reports of a training, about; long trainings report every MOST images."""
MOST = 10_000
CHECKPOINTS = "checkpoints"
"""Folder of a training's checkpoints, in the training's own."""


def train(
    objective: Objective,
    stream: Stream | SizedStream,
    config: TrainConfig,
    accelerator: Accelerator,
    folder: Path,
    report: Callable[[Message], None],
    *,
    validator: Validator | None = None,
    stopping: Callable[[], bool] = lambda: False,
    gauge: Gauge | None = None,
    continued: ContinuedFrom | None = None,
) -> dict[str, Tensor] | None:
    """Trains until `config.images` are seen, or `validator` stops it, and returns the averaged weights: with
    `config.validation.patience` those of the best validation, which the main process alone gets, else the
    last. None: `stopping` was true in some process, and a checkpoint has been written. `continued` is another
    training's checkpoint, where the folder has none yet.

    FloatingPointError: a loss or gradient is not finite, or a spike, and config.guard says stop.
    OSError: the last checkpoint cannot be written."""
    session = _Session(
        objective, stream, config, accelerator, folder, report, validator, gauge or Gauge(), continued
    )
    state, step, images = session.state, session.step, session.first
    per_report, factor, done = report_interval(config), 0.0, False
    for batch in stream.batches(images):
        done = images >= config.images or bool(validator and validator.stopped)
        due = images > session.first and (crossing(images, config.batch)(per_report) or done)
        crossed = crossing(images, per_report)
        stop = not done and step.any_stopping(stopping)

        # Report.
        if due or stop:
            state.statistics.refuse_bad(stream.uids, config.learning)
        if due and state.statistics.steps:
            row = state.statistics.row(images, factor, accelerator)
            if validator and config.validation.every and (crossed(config.validation.every) or done):
                row |= state.validate(images)
                done = done or validator.stopped
            session.write(row)

        # Save.
        if (due and (crossed(config.checkpoint_every) or done)) or (stop and images > session.first):
            session.save(images, last=done or stop)
        if done or stop:
            break

        # Gradients and a step, in turns where there are several players.
        factor = rate(images, config)
        step.set_rate(factor)
        step.parts = session.parts[config.size_at(images)]
        taken = step.take(batch, images, state.statistics.check)
        if taken is None:
            session.warn(state.statistics.skip(images, stream.uids(images)))
            images += config.batch
            continue

        # Average.
        images += config.batch
        state.averages.update(images)
        state.statistics.add(*taken)
    session.close()
    return state.published() if done else None


class _Session:
    """What surrounds the steps of a run: the state that it resumes and saves, its metrics and messages."""

    def __init__(
        self,
        objective: Objective,
        stream: Stream | SizedStream,
        config: TrainConfig,
        accelerator: Accelerator,
        folder: Path,
        report: Callable[[Message], None],
        validator: Validator | None,
        gauge: Gauge,
        continued: ContinuedFrom | None,
    ) -> None:
        main = accelerator.is_main_process
        self.config, self.accelerator, self.root = config, accelerator, folder / CHECKPOINTS
        self.report: Callable[[Message], None] = report if main else lambda message: None
        self.state = TrainingState(objective, config, accelerator, validator)
        # The model is wrapped after the resume, so that all processes begin with the same weights.
        self.first, rows = self.state.resume(self.root, self.warn, continued)
        accelerator.wait_for_everyone()
        self.parts = self._parts(objective, stream.of(config.size_at(self.first)))
        most = max(self.parts.values())
        self.step = TrainStep(objective, accelerator, config, self.state.optimizers, most)
        self.metrics: Metrics | None = None
        if main:
            names = config.trackers
            at = continued.images if continued else 0
            self.metrics = Metrics(
                folder, config.images, self.first, rows, gauge=gauge, names=names, continued_at=at
            )

    def _parts(self, objective: Objective, stream: Stream) -> dict[int, int]:
        """In how many parts each process takes its rows of a batch, by size. stream: of the stage at hand."""
        config, accelerator = self.config, self.accelerator
        sizes = [size for size, _ in images_left(config.stages, self.first)] or [config.size]
        if config.accumulate:
            return dict.fromkeys(sizes, config.accumulate)
        parts: dict[int, int] = {}
        for size in sizes:
            batch = largest_of(stream, self.first, size) if config.sizes else largest(stream, self.first)
            parts[size] = fewest_parts(objective, batch.to(accelerator.device), accelerator)
            self.warn(
                f"accumulate=0: each process takes its rows of a batch in {parts[size]} parts"
                + (f" at size {size}" if config.sizes else "")
            )
        return parts

    def warn(self, text: str) -> None:
        """Reports a warning."""
        self.report({"warning": text})

    def write(self, row: dict[str, float]) -> None:
        """Writes a row of metrics and reports the progress."""
        if self.config.sizes:
            row["size"] = self.config.size_at(int(row["images"]) - 1)
        if self.metrics:
            self.report(self.metrics.write(row))

    def save(self, images: int, *, last: bool) -> None:
        """Writes a checkpoint and reports it; OSError: it is the `last` one, and cannot be written."""
        try:
            path = self.state.save(self.root, images, self.metrics, keeps(self.config))
        except OSError as error:
            if last:
                raise
            self.warn(f"no checkpoint at {images} images, the one before it stays: {error}")
        else:
            if path:
                self.report({"checkpoint": str(path), "images": images})

    def close(self) -> None:
        """Ends the files of metrics."""
        if self.metrics:
            self.metrics.close()
        self.accelerator.wait_for_everyone()


def report_interval(config: TrainConfig) -> int:
    """Images between reports: a multiple of the batch, no longer than a checkpoint's interval."""
    often = [config.images // REPORTS, MOST, config.checkpoint_every, config.validation.every or MOST]
    return max(1, min(often) // config.batch) * config.batch


def crossing(images: int, per_report: int) -> Callable[[int], bool]:
    """Whether a multiple of an interval lies in the span of the last `per_report` images: of the last report.
    After a training has gone on with another batch, images need not be a multiple of it."""
    return lambda every: images // every > (images - per_report) // every


def keeps(config: TrainConfig) -> Callable[[int], bool]:
    """Which checkpoints stay for good, by images: every `config.checkpoint_keep_every`-th."""
    every = config.checkpoint_keep_every * config.checkpoint_every
    crossed = report_interval(config)
    return lambda images: bool(every) and crossing(images, crossed)(every)
