"""The training loop. Time is images seen; what happens at a time is a function of (seed, images seen).

The shape is that of edm2 (Karras et al. 2024, https://github.com/NVlabs/edm2, training/training_loop.py).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.train import TrainConfig
from sdmodel.data.stream import Stream
from sdmodel.objective import Judge, Objective
from sdmodel.train import checkpoint, dtensors
from sdmodel.train.ema import Averages
from sdmodel.train.fit import fewest_parts, largest
from sdmodel.train.fsdp import placed
from sdmodel.train.metrics import Gauge, Metrics
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.optim.schedule import rate
from sdmodel.train.statistics import Tally, named
from sdmodel.train.step import Steps

REPORTS = 200
"""Reports of a training, about; long trainings report every MOST images."""
MOST = 10_000


def train(
    objective: Objective,
    stream: Stream,
    config: TrainConfig,
    accelerator: Accelerator,
    folder: Path,
    tell: Callable[[dict[str, Any]], None],
    *,
    judge: Judge | None = None,
    stopping: Callable[[], bool] = lambda: False,
    gauge: Gauge | None = None,
) -> dict[str, Tensor] | None:
    """Trains until `config.images` are seen, or `judge` says to stop, and returns the averaged weights, as
    `Objective.save` takes them: with `config.validation.patience` those of the best validation, which
    the main process alone holds and others get none of, else the last.

    Goes on from the newest complete snapshot in folder/snapshots. `tell` hears of progress, of each new
    snapshot ("snapshot") and of what is amiss ("warning"), in the main process alone. When `stopping` is true
    in any process a snapshot is written and None returned. `gauge` tells what speed is worth.
    FloatingPointError: a loss or gradient is not finite, or a spike, and config.guard says stop.
    OSError: the last snapshot cannot be written."""
    # Model, averages, optimizers.
    device, main = accelerator.device, accelerator.is_main_process
    say = tell if main else lambda message: None
    modules = placed(objective, config, accelerator)
    opts = optimizers(modules, config.learning)
    averages = Averages(modules, config.ema, config.batch)
    rates = [group["lr"] for opt in opts for group in opt.param_groups]
    tally = Tally(config.guard, device)

    # Resume. The model is wrapped after that, so that all processes begin with the same weights.
    images, reported = 0, ""
    best: dict[str, Tensor] | None = None  # of the best validation; the main process alone holds the weights
    found = checkpoint.newest(folder / "snapshots", lambda text: say({"warning": text}))
    if found:
        try:
            dtensors.load(modules, found.tensors["model"])
            averages.load(found.tensors["averages"])
            checkpoint.restore_optimizers(modules, opts, found.tensors["optimizer"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ValueError(f"{found.folder} is of another model than the config's: {error}") from error
        tally.load(found.tensors["tally"], found.facts["tally"])
        if judge:
            judge.load(found.facts["judge"])
        if "best" in found.tensors:
            best = {name: value.clone() for name, value in found.tensors["best"].items()} if main else {}
        images, reported = found.images, found.metrics
        del found  # its tensors lie in files, which take their room until then, deleted or not
    accelerator.wait_for_everyone()
    parts = config.accumulate
    if not parts:
        parts = fewest_parts(objective, largest(stream, images).to(device), accelerator)
        say({"warning": f"accumulate=0: each process takes its rows of a batch in {parts} parts"})
    steps = Steps(objective, accelerator, config, opts, parts)
    metrics = None
    if main:
        names = config.trackers
        metrics = Metrics(folder, config.images, images, reported, gauge=gauge or Gauge(), names=names)

    began, per_report, factor = images, report_interval(config), 0.0
    for batch in stream.batches(images):
        done = images >= config.images or bool(judge and judge.stopped)
        due = images > began and (images % per_report == 0 or done)
        crossed = crossing(images, per_report)

        stop = not done and steps.agreed(stopping)

        # Report.
        if due or stop:
            tally.refuse_bad(stream.uids, config.optimizer)
        if due and tally.steps:
            told = tally.row(images, factor, accelerator)
            if judge and config.validation.every and (crossed(config.validation.every) or done):
                told |= judge.run(images, averages)
                done = done or judge.stopped
                if config.validation.patience and judge.improved:
                    weights = averages.weights()  # all processes gather them
                    best = weights if main else {}
            if metrics:
                say(metrics.report(told))

        # Save: gathered by all processes, written by the main one.
        if images > began and ((due and (crossed(config.snapshot_every) or done)) or stop):
            sums, facts = tally.state()
            tensors = {
                "model": dtensors.gathered(dtensors.changing(modules)),
                "averages": dtensors.gathered(averages.state()),
                "optimizer": dtensors.gathered(checkpoint.optimizer_tensors(modules, opts)),
                "tally": sums,
            }
            if best is not None:
                tensors["best"] = best
            facts = {"tally": facts, "judge": judge.state() if judge else {}}
            if metrics:
                try:
                    root, text = folder / "snapshots", metrics.text()
                    path = checkpoint.write(root, images, text, tensors, facts, keeps(config))
                    say({"snapshot": str(path), "images": images})
                except OSError as error:
                    if done or stop:
                        raise
                    say({"warning": f"no snapshot at {images} images, the one before it stays: {error}"})
            del tensors
        if done or stop:
            break

        # Gradients and step.
        factor = rate(images, config)
        groups = [group for opt in opts for group in opt.param_groups]
        for group, base in zip(groups, rates, strict=True):
            group["lr"] = base * factor
        losses, norm = steps.gradients(batch, images)
        bad = tally.look(norm, images)
        if config.guard.on_bad == "skip" and bool(bad):
            steps.undo()
            tally.skip()
            words = f"left out the batch after {images} images, gradient norm {float(norm):.3g}: "
            words += named(stream.uids(images))
            if tally.skipped > config.guard.skips:
                raise FloatingPointError(
                    f"more than guard.skips={config.guard.skips} batches are bad; {words}"
                )
            say({"warning": words})
            images += config.batch
            continue
        steps.step()
        images += config.batch

        # Average: of the weights, and of what the next report tells.
        averages.update(images)
        tally.add(losses, norm)
    else:
        raise AssertionError("a stream has no end")
    if metrics:
        metrics.close()
    accelerator.wait_for_everyone()
    if not done:
        return None
    return averages.weights() if best is None else best


def report_interval(config: TrainConfig) -> int:
    """Images between reports: a multiple of the batch, no longer than a snapshot's interval."""
    often = [config.images // REPORTS, MOST, config.snapshot_every, config.validation.every or MOST]
    return max(1, min(often) // config.batch) * config.batch


def crossing(images: int, per_report: int) -> Callable[[int], bool]:
    """Whether a multiple of an interval lies in the span of the last report."""
    return lambda every: images // every > (images - per_report) // every


def keeps(config: TrainConfig) -> Callable[[int], bool]:
    """Which snapshots stay for good, by images: every `config.keep_every`-th."""
    every = config.keep_every * config.snapshot_every
    crossed = report_interval(config)
    return lambda images: bool(every) and crossing(images, crossed)(every)
