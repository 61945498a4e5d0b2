"""Models and evaluations made by hand on a dataset of the line, for tests of the pages that show them."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from stages.artifacts.artifact import Artifact, Funnel
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The config of what is made by hand."""

    seed: int = 0
    images: int = 1000
    text: str = ""


def png(colour: tuple[int, int, int] = (200, 80, 40), size: tuple[int, int] = (96, 32)) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def metrics(rows: int, seed: int = 0, every: int = 32) -> str:
    """A metrics.jsonl of so many rows, with a validation now and then."""
    noise = np.random.default_rng(seed).normal(1, 0.05, rows)
    lines: list[dict[str, float]] = []
    for row in range(rows):
        loss = float(0.5 * (1 + row) ** -0.2 * noise[row])
        line = {"images": every * (row + 1), "loss": loss, "denoising": loss, "rate": 0.001}
        if row % 10 == 9:
            line |= {"validation/raw/mse": loss * 1.2, "validation/ema/mse": loss * 1.1}
        lines.append(line)
    return "".join(json.dumps(line) + "\n" for line in lines)


def model(
    store: Store,
    dataset: Artifact,
    choices: Choices,
    files: Mapping[str, bytes],
    name: str = "train",
    **said: Any,
) -> Artifact:
    """A model with these files; `said` are statistics."""

    @stage(version=6, kind="model", name=name)
    def train(dataset: Artifact, config: Choices, out: Output) -> Stats:
        for path, data in files.items():
            out.write(path).write_bytes(data)
        return Stats(Funnel(10, 10), {"objective": "diffusion", "images": config.images, **said})

    return train(dataset, choices, store=store)


def averaged(store: Store, of: Artifact) -> Artifact:
    """A model that is an average of another's weights."""

    @stage(version=2, kind="model", name="average")
    def average(model: Artifact, config: Choices, out: Output) -> Stats:
        out.write("model/config.json").write_text("{}")
        return Stats(Funnel(10, 10), {"objective": "diffusion", "length": 0.1})

    return average(of, Choices(), store=store)


def evaluation(
    store: Store, of: Artifact, dataset: Artifact, report: Mapping[str, Any], choices: Choices = Choices()
) -> Artifact:
    """An evaluation with this report and drawings."""

    @stage(version=3, kind="evaluation", name="evaluate")
    def evaluate(model: Artifact, dataset: Artifact, config: Choices, out: Output) -> Stats:
        out.write("report.json").write_text(json.dumps(report))
        out.write("nearest.png").write_bytes(png())
        out.write("grid.png").write_bytes(png())
        return Stats(Funnel(4, 4))

    return evaluate(of, dataset, choices, store=store)
