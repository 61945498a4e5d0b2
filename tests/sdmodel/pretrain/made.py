"""Small objectives of the text kind, their batches and their labels."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sdmodel.config.learning import ValidationConfig
from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.pretrain.objective import TextObjective

COLOURS, THINGS = ("red", "blue", "green"), ("cat", "hat", "bat", "mat")
PAIRS = [(colour, thing) for colour in COLOURS for thing in THINGS]
CAPTIONS = [f"a {colour} {thing}" for colour, thing in PAIRS]
EVERYTHING: dict[str, Any] = {
    "contrastive": 1.0,
    "labels": 0.5,
    "masked": 1.0,
    "columns": ("tags", "colour"),
    "noise": 0.5,
    "consistency": 1.0,
}


def config(text: TextConfig | None = None, tower: Any = "resnet", **pretrain: Any) -> TrainConfig:
    """Of the text objective."""
    return TrainConfig(
        objective="text",
        size=32,
        text=text or TextConfig(width=16, heads=2, length=8, vocabulary=40, tokens="words"),
        contrastive=ContrastiveConfig(embedding=8, image_width=4, tower=tower),
        validation=ValidationConfig(every=8),
        pretrain=PretrainConfig(**pretrain),
    )


def labels(folder: Path) -> Path:
    """A row for each of CAPTIONS: its colour but of every fourth row, its words but the article as tags but
    of the first row."""
    rows = [
        {
            "uid": caption,
            "colour": colour if row % 4 else None,
            "tags": [colour, thing] if row else None,
        }
        for row, (caption, (colour, thing)) in enumerate(zip(CAPTIONS, PAIRS, strict=True))
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "labels.parquet")
    return folder / "labels.parquet"


def objective(chosen: TrainConfig, table: Path | None = None, seed: int = 0) -> TextObjective:
    """With weights as after a few steps."""
    torch.manual_seed(seed)
    made = TextObjective(chosen, CAPTIONS * 3, table)
    with torch.no_grad():
        for parameter in made.modules.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def batch(captions: list[str] = CAPTIONS, seed: int = 0) -> Batch:
    """Noise, that differs from row to row, and these captions; the captions are the rows' names.

    seed: of what is drawn for it."""
    count = len(captions)
    images = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Batch(
        images=images,
        captions=captions,
        uids=captions,
        index=torch.arange(count),
        size=count,
        start=0,
        seed=seed,
    )
