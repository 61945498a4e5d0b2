"""Training statistics: the losses and gradient norms of the steps between two reports, and what is done about
a bad step (a loss spike, a gradient that is not finite), without waiting for the device.

Losses and gradient norms are summed where they are computed and read at reports alone. Whether a step was
bad is noted on the device, too; the batch is named afterwards, since the data order is a function of images
seen. Only a training that leaves bad batches out has to look at every step.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.config.learning import GuardConfig
from sdmodel.config.optimization import Optimization
from sdmodel.losses import METRIC, is_loss

MEMORY = 0.02
"""Share of a step in the running mean of the gradient's norm: about the last 50 steps count."""
FIRST = 50
"""Steps before a norm can be called a spike."""
NAMED = 8
"""Uids of a batch that a message names."""


class TrainingStatistics:
    """Sums since the last report, and the running mean that a spike is measured by."""

    def __init__(self, guard: GuardConfig, device: torch.device) -> None:
        self.guard = guard
        self.names: list[str] = []
        self.steps = 0
        """Steps in the sums."""
        self.skipped = 0
        """Steps left out, in all."""
        self._sums = torch.zeros(0, device=device)
        self._norm = torch.zeros(2, dtype=torch.float64, device=device)  # running mean, steps in it
        self._bad = torch.full((), -1, dtype=torch.int64, device=device)  # images before the first bad step

    def check(self, norm: Tensor, images: int) -> bool:
        """Notes whether the step after `images` images is bad, by its gradient's norm (), which all processes
        share. True: it is, and is to be left out; otherwise `refuse_bad` raises at the next report."""
        bad = ~torch.isfinite(norm)
        if self.guard.spike:
            mean, count = self._norm
            bad |= (count >= FIRST) & (norm > self.guard.spike * mean)
            weight = torch.clamp(1 / (count + 1), min=MEMORY)
            then = torch.stack([torch.lerp(mean, norm.double(), weight), count + 1])
            self._norm = torch.where(bad, self._norm, then)
        self._bad = torch.where(bad & (self._bad < 0), images, self._bad)
        return self.guard.on_bad == "skip" and bool(bad)

    def add(self, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        """Adds a step to the sums: its losses and metrics by name."""
        values = torch.stack([*(loss.detach() for loss in losses.values()), norm])
        self.names, self.steps = list(losses), self.steps + 1
        self._sums = values if self.steps == 1 else self._sums + values

    def skip(self, images: int, norm: Tensor, uids: list[str]) -> str:
        """Counts a bad step that was left out, and returns the warning of it.

        uids: of its batch, the one after `images` images. FloatingPointError: there are too many."""
        self.skipped += 1
        self._bad = torch.full_like(self._bad, -1)
        warning = f"left out the batch after {images} images, gradient norm {float(norm):.3g}: {listed(uids)}"
        if self.skipped > self.guard.skips:
            raise FloatingPointError(f"more than guard.skips={self.guard.skips} batches are bad; {warning}")
        return warning

    def refuse_bad(self, uids: Callable[[int], list[str]], config: Optimization) -> None:
        """FloatingPointError: a step since the last report was bad.

        uids: those of the batch that follows after so many images."""
        images = int(self._bad)
        if images >= 0:
            muon = f"optimizer.muon_rate={config.muon_rate} and " if config.kind == "muon" else ""
            raise FloatingPointError(
                f"the gradient is not finite, or a spike, at the batch after {images} images, "
                f"{listed(uids(images))}; lower {muon}optimizer.adam_rate={config.adam_rate}, train in fp32, "
                "or leave such batches out with guard.on_bad=skip"
            )

    def row(self, images: int, rate: float, accelerator: Accelerator) -> dict[str, float]:
        """A row of metrics, over the steps of all processes: images seen, the losses' sum as "loss", each
        loss, each metric, the gradient's norm, the learning rate's factor. The next row begins.

        FloatingPointError: a loss or metric is not finite."""
        means: list[float] = accelerator.reduce(self._sums / self.steps, "mean").tolist()  # pyright: ignore
        losses = dict(zip(self.names, means[:-1], strict=True))
        if not all(math.isfinite(value) for value in losses.values()):
            raise FloatingPointError(
                f"a loss is not finite in the {self.steps} batches up to {images}: {losses}"
            )
        self.steps, total = 0, math.fsum(value for name, value in losses.items() if is_loss(name))
        named = {name.removeprefix(METRIC): value for name, value in losses.items()}
        return {"images": images, "loss": total, **named, "gradient_norm": means[-1], "rate": rate}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, facts) for a checkpoint."""
        facts = {"names": self.names, "steps": self.steps, "skipped": self.skipped}
        return {"sums": self._sums, "norm": self._norm, "bad": self._bad}, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Restores what `state` returned, in memory of its own."""
        device = self._bad.device
        self._sums, self._norm, self._bad = (
            tensors[name].to(device, copy=True) for name in ("sums", "norm", "bad")
        )
        self.names, self.steps, self.skipped = list(facts["names"]), facts["steps"], facts["skipped"]


def listed(uids: list[str]) -> str:
    """The first uids in words, and how many more there are."""
    more = f" and {len(uids) - NAMED} more" if len(uids) > NAMED else ""
    return f"uids {', '.join(uids[:NAMED])}{more}"
