"""What is written down of a training: metrics.jsonl, and beside it times and the curves of trackers.

metrics.jsonl is a result, to the byte the same after a resume. What differs from run to run lies in logs/.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sdmodel.train.memory import MemoryEstimate
from sdmodel.train.process.messages import Progress, Utilisation
from sdmodel.train.trackers import trackers

WINDOW = 20
"""Reports that the speed of the progress line is taken over: the first ones, which compile and warm up, are
soon forgotten."""
VALIDATED = ("validation/ema/loss", "validation/ema/mse")
"""Measures that a progress message has; the last one that there is counts."""
REDUNDANT = ("rmse", "mae", "r2")
"""Measures that the curve leaves out beside the mean squared error."""
CONTINUED_AT = "continued_at"
"""Of the first row after a training went on with another's state: images seen until then."""
NO_LOSSES = ("images", "rate", "gradient_norm", "size", CONTINUED_AT)
"""Values of a row that the curve of losses leaves out."""
MANY = 12
"""Lines that a panel has room for in its legend; of more, those of the averaged weights are drawn."""


@dataclass(frozen=True)
class Gauge:
    """What a speed is worth."""

    flops: float = 0.0
    """Floating-point operations that learning from one image takes, forward and backward; 0: not counted."""
    peak: float = 0.0
    """Floating-point operations a second that all processes together could do; 0: not known."""
    price: float = 0.0
    """Of an hour of all processes; 0: not known."""
    stages: tuple[tuple[int, float], ...] = ()
    """(images seen at a stage, FLOPs of an image of it), where sizes follow each other; empty: `flops` of
    all."""
    memory: MemoryEstimate | None = None
    """Bytes that a step takes, estimated, of one process that holds all weights, at the size that takes most;
    None: not counted."""

    def flops_at(self, images: int) -> float:
        """FLOPs of the image that follows after so many."""
        end = 0
        for count, flops in self.stages:
            end += count
            if images < end:
                return flops
        return self.stages[-1][1] if self.stages else self.flops

    def images_left(self, images: int, total: int) -> float:
        """Images from `images` to `total`, of which one of another size counts as its FLOPs are to those of
        the last that was seen."""
        now = self.flops_at(images - 1)
        if not self.stages or not now:
            return max(0, total - images)
        begin, left = 0, 0.0
        for count, flops in self.stages:
            left += max(0, begin + count - max(begin, images)) * flops / now
            begin += count
        return left

    def read(self, speed: float, seconds: float, left: float, images: int = 0) -> Utilisation:
        """At `speed` images a second, after `seconds` and `images` and with `left` seconds to go."""
        reading: Utilisation = {"memory": peak_memory()}
        if (flops := self.flops_at(images - 1)) and self.peak:
            reading["mfu"] = round(flops * speed / self.peak, 4)
        if self.price:
            reading["cost"], reading["cost_left"] = (round(self.price * s / 3600, 4) for s in (seconds, left))
        return reading


class Metrics:
    """Writes the main process's reports after `text`, which is what a checkpoint holds of earlier ones."""

    def __init__(
        self,
        folder: Path,
        total: int,
        images: int = 0,
        text: str = "",
        *,
        gauge: Gauge = Gauge(),
        names: Sequence[str] = (),
        continued_at: int = 0,
    ):
        """Args:
            names: trackers besides TensorBoard.
            continued_at: images after which this training went on with another's state; its first row then
                says so. 0: it began itself.

        ValueError: a tracker is unknown or not installed."""
        self.path = folder / "metrics.jsonl"
        self.path.write_text(text)
        self.total, self.first, self.gauge = total, images, gauge
        self.times = deque([(images, time.monotonic())], maxlen=WINDOW + 1)
        self.began = self.times[0][1]
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        self.throughput = (logs / "throughput.jsonl").open("a")
        self.trackers = trackers(names, logs, f"{folder.parent.name}/{folder.name}")
        rows: list[dict[str, float]] = [json.loads(line) for line in text.splitlines()]
        for row in rows:
            self._log(row)
        self._size: float | None = rows[-1].get("size") if rows else None
        self._to_mark = 0 if any(row["images"] > continued_at for row in rows) else continued_at

    def write(self, row: dict[str, float]) -> Progress:
        """Writes a row ("images" and values) and returns the progress. OSError: the disk is full."""
        if self._to_mark:
            row, self._to_mark = {**row, CONTINUED_AT: self._to_mark}, 0
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        images, now = int(row["images"]), time.monotonic()
        (images_then, then), seconds = self.times[0], now - self.began
        if row.get("size") != self._size:  # its speed is another
            self.times.clear()
            self._size = row.get("size")
        self.times.append((images, now))
        speed = (images - images_then) / max(now - then, 1e-9)
        left = self.gauge.images_left(images, self.total) / max(speed, 1e-9)
        mean = (images - self.first) / max(seconds, 1e-9)
        utilisation = self.gauge.read(speed, seconds, left, images)
        throughput = {"images": images, "seconds": seconds, "images_per_second": mean, "lately": speed}
        self.throughput.write(json.dumps({**throughput, **utilisation}) + "\n")
        self.throughput.flush()
        self._log({**row, "images_per_second": speed, **cast(dict[str, float], utilisation)})
        progress: Progress = {
            "images": images,
            "total": self.total,
            "loss": row["loss"],
            "images_per_second": round(speed, 1),
            "seconds": round(seconds, 3),
            "seconds_left": round(left, 1),
            **utilisation,
        }
        if "size" in row:
            progress["size"] = int(row["size"])
        if errors := [row[name] for name in VALIDATED if name in row]:
            progress["validation"] = errors[-1]
        return progress

    def text(self) -> str:
        """All rows so far."""
        return self.path.read_text()

    def close(self) -> None:
        """Ends the files."""
        self.throughput.close()
        for tracker in self.trackers:
            tracker.close()

    def _log(self, row: dict[str, float]) -> None:
        values = {name: value for name, value in row.items() if name not in ("images", CONTINUED_AT)}
        for tracker in self.trackers:
            tracker.log(int(row["images"]), values)


def peak_memory() -> float:
    """Bytes: of the GPU, where this process has used one, else of the process; at the worst moment so far."""
    import resource

    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def draw_curve(metrics: Path, picture: Path) -> None:
    """A PNG of `metrics` (a metrics.jsonl) against images seen: losses, and below them what was validated,
    where anything was; a line stands where the training went on with another's state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    losses = [name for name in names if "/" not in name and name not in NO_LOSSES]
    if len(losses) == 2:  # the loss is its only part
        losses.remove("loss")
    validated = [
        name
        for name in names
        if "/" in name and "@" not in name and not name.endswith(tuple(f"/{m}" for m in REDUNDANT))
    ]
    if len(validated) > MANY:
        validated = [name for name in validated if name.startswith("validation/ema/")]
    panels = [(losses, "training loss"), *([(validated, "validation")] if validated else [])]
    figure = Figure(figsize=(7, 3.5 * len(panels)), layout="constrained")
    places = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (drawn, label) in zip(places, panels, strict=True):
        _draw_lines(axes, rows, drawn)
        axes.set(ylabel=label)
        for row in rows:
            if CONTINUED_AT in row:
                axes.axvline(row[CONTINUED_AT], color="grey", linestyle=":", linewidth=1)
    places[-1].set(xlabel="images seen")
    FigureCanvasAgg(figure).print_png(str(picture), metadata={"Software": None})


def _draw_lines(axes: Any, rows: list[dict[str, float]], names: Sequence[str]) -> None:
    low = float("inf")
    for name in names:
        points = [(row["images"], row[name]) for row in rows if name in row]
        low = min([low, *(value for _, value in points)])
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
    if low > 0:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
