"""Metrics are written down beside the losses and teach nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.losses import metrics, total
from sdmodel.train.loop import train
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import CONFIG, Toy, ToyObjective


class Watched(Toy):
    """A toy that says how long its words are."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {**super().forward(batch), **metrics({"words": self.words.weight.norm()})}


def test_the_sum_of_losses_is_without_metrics():
    loss = torch.tensor(2.0, requires_grad=True)
    both = {"a": loss, "b": 3 * loss, **metrics({"c": 100 * loss})}
    assert total(both).item() == 8
    assert not both["metric/c"].requires_grad


def test_a_metric_is_written_down_and_changes_nothing_that_is_learned(dataset: Any, tmp_path: Path):
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    learned: list[dict[str, Tensor]] = []
    rows: list[dict[str, float]] = []
    for kind in (Toy, Watched):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        torch.manual_seed(0)
        stream = Stream(pictures, batch=CONFIG.batch, seed=0)
        weights = train(ToyObjective(kind()), stream, CONFIG, Accelerator(cpu=True), folder, lambda _: None)
        assert weights is not None
        learned.append(weights)
        rows.append(json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]))
    assert all(torch.equal(learned[0][name], learned[1][name]) for name in learned[0])
    assert rows[1]["words"] == pytest.approx(learned[1]["words.weight"].norm().item(), rel=0.01)
    assert rows[1]["loss"] == rows[0]["loss"] == pytest.approx(rows[1]["fit"] + rows[1]["size"])
