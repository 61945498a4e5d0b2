"""The training loop. Time is images seen; what happens at a time is a function of (seed, images seen).

The shape is that of edm2 (Karras et al. 2024, https://github.com/NVlabs/edm2, training/training_loop.py).
"""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.config import TrainConfig
from sdmodel.data.stream import Stream
from sdmodel.train import snapshot
from sdmodel.train.ema import Ema
from sdmodel.train.metrics import Metrics
from sdmodel.train.muon import optimizers
from sdmodel.train.objective import Objective
from sdmodel.train.schedule import rate

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
) -> dict[str, Tensor]:
    """Trains until `config.images` are seen and returns the averaged weights, as `Objective.save` takes them.

    Goes on from the newest complete snapshot in folder/snapshots. `tell` hears of progress, of each new
    snapshot ("snapshot") and of damaged ones ("warning"), in the main process alone.
    FloatingPointError: the loss is not finite."""
    # Model, average, optimizers.
    device, rank, main = accelerator.device, accelerator.process_index, accelerator.is_main_process
    modules = objective.modules.train().to(device).to(memory_format=torch.channels_last)  # pyright: ignore
    ema = Ema(modules, config.ema, config.batch)
    opts = optimizers(modules, config.optimizer)
    rates = [group["lr"] for opt in opts for group in opt.param_groups]
    parameters = [p for p in modules.parameters() if p.requires_grad]

    # Resume. The model is wrapped after that, so that all processes begin with the same weights.
    images, reported = 0, ""
    found = snapshot.newest(folder / "snapshots", lambda text: tell({"warning": text}) if main else None)
    if found:
        snapshot.restore(found, modules, ema, opts)
        images, reported = found.images, found.metrics
    accelerator.wait_for_everyone()
    model = accelerator.prepare_model(modules)
    metrics = Metrics(folder, config.images, images, reported) if main else None

    # Snapshots fall on reports, so that no half-filled mean has to be saved.
    per_report = report_interval(config)
    generator = torch.Generator(device)
    began, steps, sums, factor = images, 0, torch.zeros(0), 0.0
    names: list[str] = []
    for batch in stream.batches(images):
        done = images >= config.images

        # Report.
        if images > began and (images % per_report == 0 or done):
            means: list[float] = (accelerator.reduce(sums, "mean") / steps).tolist()  # pyright: ignore
            row = {"images": images, "loss": sum(means[:-1]), **dict(zip(names, means[:-1], strict=True))}
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"the loss is {row['loss']} over the {steps * config.batch} images up to {images}; "
                    f"lower optimizer.muon_rate={config.optimizer.muon_rate} and "
                    f"optimizer.adam_rate={config.optimizer.adam_rate}, or train in fp32"
                )
            row |= {"gradient_norm": means[-1], "rate": factor}
            steps = 0
            if metrics:
                tell(metrics.report(row))

            # Save.
            crossed = images // config.snapshot_every > (images - per_report) // config.snapshot_every
            if metrics and (crossed or done):
                path = snapshot.write(folder / "snapshots", images, metrics.text(), modules, ema, opts)
                tell({"snapshot": str(path), "images": images})

        # Stop?
        if done:
            break

        # Gradients.
        torch.manual_seed(seed_at(config.seed, images, f"process {rank}"))  # for dropout layers
        generator.manual_seed(seed_at(config.seed, images, "global"))
        losses: dict[str, Tensor] = model(batch.to(device), generator)
        accelerator.backward(torch.stack(list(losses.values())).sum())
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip or math.inf)

        # Step.
        factor = rate(images, config.images, config.optimizer.warmup)
        groups = [group for opt in opts for group in opt.param_groups]
        for group, base in zip(groups, rates, strict=True):
            group["lr"] = base * factor
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        images += config.batch

        # Average: of the weights, and of what the next report tells.
        ema.update(images)
        names, steps = list(losses), steps + 1
        values = torch.stack([*(loss.detach() for loss in losses.values()), norm.detach()])
        sums = values if steps == 1 else sums + values
    if metrics:
        metrics.close()
    accelerator.wait_for_everyone()
    return ema.weights()


def report_interval(config: TrainConfig) -> int:
    """Images between reports: a multiple of the batch, no longer than a snapshot's interval."""
    wanted = min(config.images // REPORTS, MOST, config.snapshot_every)
    return max(1, wanted // config.batch) * config.batch


def seed_at(seed: int, images: int, stream: str) -> int:
    """A seed of 63 bits for what is drawn after `images` images; each stream's draws are its own."""
    return int.from_bytes(hashlib.sha256(f"{seed} {images} {stream}".encode()).digest()[:8], "big") >> 1
