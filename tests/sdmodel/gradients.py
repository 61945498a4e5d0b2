"""Objectives with weights as after a few steps, and what one step finds for them."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.conditions.class_column import ClassLayout
from sdmodel.conditions.interface import ConditionLayout
from sdmodel.conditions.number import NumberLayout
from sdmodel.conditions.picture_size import PictureSizeLayout
from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.objective import Objective
from sdmodel.objectives import objective_of
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.step import TrainStep
from tests.sdmodel.golden.tiny import config_of

CAPTIONS = [f"a {colour} {thing}" for colour in ("red", "blue") for thing in ("cat", "hat", "bat", "rat")]


def made(config: TrainConfig, encoder: Path | None = None) -> Objective:
    """None of its weights is zero, as after a few steps. encoder: folder of the image encoder it asks."""
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        labels = labels_of(config.selfsupervised.columns, Path(folder) / "labels.parquet")
        objective = objective_of(
            config, CAPTIONS * 3, labels=labels, encoder=encoder, conditions=_layouts(config)
        )
    with torch.no_grad():
        for p in objective.modules.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
    return objective


def labels_of(columns: Sequence[str], file: Path) -> Path | None:
    """A table of labels, the second word of each caption in every column; None of no columns."""
    if not columns:
        return None
    words = [caption.split()[1] for caption in CAPTIONS]
    pq.write_table(pa.table({"uid": CAPTIONS, **dict.fromkeys(columns, words)}), file)
    return file


def batch(config: TrainConfig, rank: int = 0, world: int = 1) -> Batch:
    """One process's rows of a global batch of 8."""
    images = torch.rand(8, 3, config.size, config.size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
    names = CAPTIONS[rows]
    asked = {"size": ["40x50"] * 8, "similarity": [0.2, None] * 4, "colour": [None, "red", "blue", "red"] * 2}
    conditions = {
        layout.name: layout.parse(asked[layout.name]).rows(rows.start, rows.stop)
        for layout in _layouts(config)
    }
    return Batch(
        images=images[rows],
        captions=names,
        uids=names,
        index=torch.arange(8)[rows],
        size=8,
        start=rows.start,
        conditions=conditions,
    )


def _layouts(config: TrainConfig) -> list[ConditionLayout]:
    """Of the conditions that a config names."""
    known: list[ConditionLayout] = [
        PictureSizeLayout(1.0, 40, 100, 100),
        NumberLayout("similarity", 1.0, 0.25, 0.02, 0.2, 0.3),
        ClassLayout("colour", 2.0, ("blue", "red"), False),
    ]
    return [layout for layout in known if layout.name in config.conditions.names]


def gradients(accelerator: Accelerator, objective: Any, encoder: Path | None = None) -> dict[str, Tensor]:
    """Losses, and gradients before they are clipped, of this process."""
    config = config_of(objective, optimizer=OptimizerConfig(clip=0.0))
    ours = made(config, encoder)
    ours.modules.eval()  # batch norm, where there is any, then asks no other row
    step = TrainStep(
        ours, accelerator, config, optimizers(ours.modules, config.learning, ours.players), parts=1
    )
    rows = batch(config, accelerator.process_index, accelerator.num_processes)
    found: dict[str, Tensor] = {}
    norms: list[Tensor] = []
    for turn in step.turns:
        losses, norm = step.gradients(rows, 0, turn)
        found |= {name: p.grad for name, p in ours.modules.named_parameters() if p.grad is not None} | losses
        norms.append(norm)
        step.zero_grad()
    return {**found, "norm": torch.stack(norms).norm()}
