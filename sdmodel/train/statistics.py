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

    def __init__(self, guard: GuardConfig, device: torch.device, turns: int = 1) -> None:
        """turns: of a step, each with a gradient of its own."""
        self.guard = guard
        self.names: list[str] = []
        self.counts: list[int] = []
        """Steps in the sums of each name, and of the norm: a player may have begun later."""
        self.steps = 0
        """Steps in the sums."""
        self.skipped = 0
        """Steps left out, in all."""
        self._sums = torch.zeros(0, device=device)
        # Running mean of each turn, steps in it.
        self._norm = torch.zeros(turns, 2, dtype=torch.float64, device=device)
        self._last = torch.zeros((), device=device)  # the norm that was checked last
        self._bad = torch.full((), -1, dtype=torch.int64, device=device)  # images before the first bad step

    def check(self, norm: Tensor, images: int, turn: int = 0) -> bool:
        """Notes whether the step after `images` images is bad, by the norm () of a turn's gradient, which all
        processes share. True: it is, and is to be left out; otherwise `refuse_bad` raises at the next
        report."""
        self._last = norm
        bad = ~torch.isfinite(norm)
        if self.guard.spike:
            mean, count = self._norm[turn]
            bad |= (count >= FIRST) & (norm > self.guard.spike * mean)
            weight = torch.clamp(1 / (count + 1), min=MEMORY)
            then = torch.stack([torch.lerp(mean, norm.double(), weight), count + 1])
            self._norm[turn] = torch.where(bad, self._norm[turn], then)
        self._bad = torch.where(bad & (self._bad < 0), images, self._bad)
        return self.guard.on_bad == "skip" and bool(bad)

    def add(self, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        """Adds a step to the sums: its losses and metrics by name, of which later steps may have more."""
        values = torch.stack([*(loss.detach() for loss in losses.values()), norm])
        grown = [name for name in losses if name not in self.names] if self.steps else []
        if grown:  # in the order of names that come with the first step of the next report
            before = dict(zip(self.names, self._sums[:-1], strict=True))
            counts = dict(zip(self.names, self.counts, strict=False))
            nothing = torch.zeros_like(norm)
            self._sums = torch.stack([*(before.get(name, nothing) for name in losses), self._sums[-1]])
            self.counts = [*(counts.get(name, 0) for name in losses), self.steps]
        self.names, self.steps = list(losses), self.steps + 1
        self.counts = [1] * len(values) if self.steps == 1 else [count + 1 for count in self.counts]
        self._sums = values if self.steps == 1 else self._sums + values

    def skip(self, images: int, uids: list[str]) -> str:
        """Counts a bad step that was left out, and returns the warning of it.

        uids: of its batch, the one after `images` images. FloatingPointError: there are too many."""
        self.skipped += 1
        self._bad = torch.full_like(self._bad, -1)
        norm = float(self._last)
        warning = f"left out the batch after {images} images, gradient norm {norm:.3g}: {listed(uids)}"
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
        steps: Tensor | int = self.steps
        if any(count != self.steps for count in self.counts):
            steps = torch.tensor(self.counts, dtype=self._sums.dtype, device=self._sums.device)
        means: list[float] = accelerator.reduce(self._sums / steps, "mean").tolist()  # pyright: ignore
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
        if any(count != self.steps for count in self.counts):
            facts["counts"] = self.counts
        return {"sums": self._sums, "norm": self._norm.flatten(), "bad": self._bad}, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Restores what `state` returned, in memory of its own."""
        device = self._bad.device
        self._sums, self._norm, self._bad = (
            tensors[name].to(device, copy=True) for name in ("sums", "norm", "bad")
        )
        self._norm = self._norm.view(-1, 2)
        self.names, self.steps, self.skipped = list(facts["names"]), facts["steps"], facts["skipped"]
        self.counts = list(facts.get("counts", [self.steps] * len(self._sums)))


def listed(uids: list[str]) -> str:
    """The first uids in words, and how many more there are."""
    more = f" and {len(uids) - NAMED} more" if len(uids) > NAMED else ""
    return f"uids {', '.join(uids[:NAMED])}{more}"
