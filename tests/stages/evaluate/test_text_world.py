"""What each loss of the text objective teaches: a small encoder on the demo world, judged on pictures and
captions of another seed."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import PretrainConfig, TextConfig, TextKind
from sdmodel.data.batch import Batch
from sdmodel.data.pixels import to_float
from sdmodel.pretrain.objective import TextObjective
from stages.demo import captions as one_captions
from stages.evaluate.oracle import clean_pairs
from stages.evaluate.text_models import understanding
from tests.stages import worlds

pytestmark = pytest.mark.slow

ROWS, TEST, STEPS, BATCH = 1200, 256, 180, 64
COLUMNS = ("shape", "colour")


def world(rows: int, seed: int, folder: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """Pictures (N, 32, 32, 3), captions, uids, and FOLDER/labels.parquet."""
    pictures, captions = clean_pairs(rows, seed)
    uids = [f"{seed}-{row}" for row in range(rows)]
    said = [asdict(cast(Any, one_captions.parse(caption))) for caption in captions]
    table = [
        {"uid": uid, **{name: one[name] for name in COLUMNS}} for uid, one in zip(uids, said, strict=True)
    ]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(table), folder / "labels.parquet")
    small = np.stack([one.reshape(32, 2, 32, 2, 3).mean((1, 3)) for one in pictures]).astype(np.uint8)
    return small, captions, uids


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_pairs_labels_and_tokens_are_learned(kind: TextKind, tmp_path: Path):
    pictures, captions, uids = world(ROWS, 1, tmp_path / "train")
    config = worlds.changed(
        objective="text",
        size=32,
        text=TextConfig(kind=kind, width=64, length=24, vocabulary=400, tokens="words"),
        contrastive=ContrastiveConfig(embedding=32, image_width=8),
        pretrain=PretrainConfig(
            contrastive=1.0, labels=1.0, columns=COLUMNS, labelled=0.5, masked=0.5, next=0.5
        ),
    )
    torch.manual_seed(0)
    objective = TextObjective(config, captions, tmp_path / "train/labels.parquet")
    optimizer = torch.optim.AdamW(objective.modules.parameters(), 3e-3)
    choice = np.random.default_rng(0)
    for step in range(STEPS):
        rows = choice.choice(ROWS, BATCH, replace=False)
        batch = Batch(
            images=to_float(pictures[rows]).permute(0, 3, 1, 2).contiguous(),
            captions=[captions[row] for row in rows],
            uids=[uids[row] for row in rows],
            index=torch.arange(BATCH),
            size=BATCH,
            start=0,
            seed=step,
        )
        losses = objective.modules(batch)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    (tmp_path / "model").mkdir()
    weights = {name: value.detach() for name, value in objective.modules.state_dict().items()}
    objective.save(tmp_path / "model", weights)

    others, told, names = world(TEST, 2, tmp_path / "test")
    found = understanding(
        tmp_path / "model", tmp_path / "test/labels.parquet", names, others, told, "cpu", 0, lambda: None
    )
    assert found["of"] == 64
    assert found["r_at_1"] > 0.5  # by chance 1 / 64
    for column in COLUMNS:
        assert found["labels"][column]["right"] > 0.9 > 0.5 > found["labels"][column]["constant"]
    assert found["masked"]["right"] > found["masked"]["constant"] + 0.2
    assert found["next"]["right"] > found["next"]["constant"] + 0.1
