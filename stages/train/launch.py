"""The training's processes, as the stage runs them: progress in words, checkpoints to the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdmodel.config.optimization import Optimization
from sdmodel.config.train import TrainConfig
from stages.artifacts.loss_curve import curves_of_rows
from stages.artifacts.status import TrainingStatus
from stages.errors import RetryableError
from stages.output import Output
from stages.train.checkpoints import Checkpoints
from stages.units import duration

if TYPE_CHECKING:
    from sdmodel.train.process.messages import Progress


class ElapsedTime:
    """Time that a training takes, over all attempts."""

    def __init__(self, seconds: float, continued_at: int = 0) -> None:
        """A training that has taken `seconds` until now, and began after so many images of another."""
        self.seconds = seconds
        self._continued_at = continued_at
        self._attempt = 0.0

    def update(self, seconds: float) -> None:
        """The processes that run now have taken `seconds`; less than before, and they were started again."""
        self.seconds += seconds - (self._attempt if seconds >= self._attempt else 0.0)
        self._attempt = seconds

    def images_per_second(self, images: int) -> float | None:
        """Images per second of the whole training, up to `images`; None where nobody took the time."""
        return round((images - self._continued_at) / self.seconds, 1) if self.seconds else None


def launch(
    job_path: Path,
    config: TrainConfig,
    out: Output,
    checkpoints: Checkpoints,
    resumed: int,
    elapsed: ElapsedTime,
    earlier: Sequence[str] = (),
) -> None:
    """Run a job to its end.

    Args:
        job_path: of the job's file.
        config: the job's, with optimizer and rates.
        out: hears of progress and warnings, and says when to stop.
        checkpoints: get each new one.
        resumed: images seen when it starts.
        elapsed: is updated.
        earlier: lines of metrics.jsonl up to `resumed`, so that the curve that people see begins with them.

    Raises:
        Stopped: it was asked to stop.
        RetryableError: it was ended from outside.
    """
    from sdmodel.train.process.launch import Interrupted, train

    losses: dict[str, float] = {}
    curves = curves_of_rows(earlier)

    def on_progress(progress: "Progress") -> None:
        elapsed.update(progress["seconds"])
        losses["loss"] = progress["loss"]
        if "validation" in progress:  # measured now and then
            losses["validation"] = progress["validation"]
            curves["validation"].add(progress["images"], progress["validation"])
        curves["loss"].add(progress["images"], progress["loss"])
        status = TrainingStatus.of(losses, progress["images_per_second"], progress["seconds_left"], curves)
        out.progress(
            progress["images"], progress["total"], progress_text(progress), unit="images", training=status
        )

    def on_checkpoint(images: int, folder: Path) -> None:
        checkpoints.store(images, folder, elapsed.seconds)

    words = f"starting the training's processes, {rates_text(config.learning)}"
    out.progress(resumed, config.images, words, unit="images")
    try:
        done = train(
            job_path,
            on_progress=on_progress,
            on_warning=out.warn,
            stopping=out.stopping,
            on_checkpoint=on_checkpoint,
        )
    except Interrupted as error:
        raise RetryableError(f"train: {error}") from error
    if not done:
        out.check()
        raise RetryableError("train: it was asked to stop, and that was taken back; the same run goes on")


def rates_text(learning: Optimization) -> str:
    """The optimizers of a training and their rates at the peak, in a few words: "Muon 0.012, AdamW 0.003"."""
    muon = f"Muon {learning.muon_rate:g}, " if learning.kind == "muon" else ""
    name = {"lion": "Lion", "adamw8bit": "8-bit AdamW"}.get(learning.kind, "AdamW")
    return f"{muon}{name} {learning.adam_rate:g}"


def progress_text(progress: "Progress") -> str:
    """The progress of a training in a few words: loss, speed, use of the device, memory, time and money."""
    parts = [
        f"loss {progress['loss']:.4f}",
        f"validation {progress['validation']:.4f}" if "validation" in progress else "",
        f"{progress['size']} pixels" if "size" in progress else "",
        f"{progress['images_per_second']:.0f} images/s",
        f"{progress['mfu']:.0%} MFU" if "mfu" in progress else "",
        f"{progress['memory'] / 2**30:.1f} GiB",
        f"{duration(progress['seconds_left'])} left",
        f"costs {progress['cost_left']:.2f} more" if "cost_left" in progress else "",
    ]
    return ", ".join(part for part in parts if part)
