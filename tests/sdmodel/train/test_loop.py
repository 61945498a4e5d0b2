import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn

from sdmodel.config import OptimizerConfig, TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.pictures import decode_all
from sdmodel.data.stream import Stream
from sdmodel.train.loop import report_interval, seed_at, train

CONFIG = TrainConfig(
    images=200, batch=8, size=8, snapshot_every=50, seed=3, optimizer=OptimizerConfig(warmup=30)
)


class Toy(nn.Module):
    """Everything whose state a resume can lose: momenta, running statistics, dropout, noise."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(288, 16),
        )
        self.words = nn.Embedding(128, 16)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.seen: list[Batch] = []

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        self.seen.append(batch)
        noisy = batch.images + 0.3 * batch.normal(generator, 3, 8, 8)
        text = self.words(torch.tensor([[ord(c) for c in caption[:10]] for caption in batch.captions])).mean(
            1
        )
        error = self.scale * self.features(noisy) - text.detach().sign()
        return {"fit": error.square().mean(), "size": 0.01 * text.square().mean()}


@dataclass
class ToyObjective:
    modules: Toy


class KilledError(Exception):
    pass


@pytest.fixture
def run(dataset):
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    accelerator = Accelerator(cpu=True)

    def run(folder: Path, config: TrainConfig = CONFIG, kill_at: int | None = None):
        """One life: (weights, told, modules), unless it dies when `kill_at` images are reported."""
        folder.mkdir(exist_ok=True)
        torch.manual_seed(config.seed)
        objective = ToyObjective(Toy())
        told: list[dict[str, Any]] = []

        def tell(message: dict[str, Any]) -> None:
            told.append(message)
            if kill_at is not None and message.get("images", 0) >= kill_at and "loss" in message:
                raise KilledError

        stream = Stream(pictures, batch=config.batch, seed=config.seed)
        return train(objective, stream, config, accelerator, folder, tell), told, objective.modules

    torch.set_num_threads(1)
    return run


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_killed_and_resumed_is_undisturbed_to_the_bit(run, tmp_path: Path):
    expected, _, _ = run(tmp_path / "whole")
    for kill in (8, 64, 64, 72, 160, 200):  # before the first snapshot, on one, after one; at the end
        with pytest.raises(KilledError):
            run(tmp_path / "killed", kill_at=kill)
    weights, told, _ = run(tmp_path / "killed")
    assert told[0]["images"] == 160  # from the snapshot at 152
    for name, value in expected.items():
        assert torch.equal(value, weights[name]), name
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")
    weights, told, modules = run(tmp_path / "killed")  # nothing is left to do
    assert (told, modules.seen) == ([], [])
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())


def test_a_damaged_snapshot_costs_time_alone(run, tmp_path: Path):
    run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", kill_at=136)
    newest = max((tmp_path / "killed" / "snapshots").iterdir()) / "optimizer.safetensors"
    newest.write_bytes(newest.read_bytes()[:-8])
    _, told, _ = run(tmp_path / "killed")
    assert str(newest) in told[0]["warning"]
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")


def test_reports_and_snapshots(run, tmp_path: Path):
    weights, told, modules = run(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["images"] for row in rows] == list(range(8, 201, 8))
    assert all(row["loss"] == pytest.approx(row["fit"] + row["size"]) for row in rows)
    assert set(rows[0]) == {"images", "loss", "fit", "size", "gradient_norm", "rate"}  # and no times
    assert [message["images"] for message in told if "snapshot" in message] == [56, 104, 152, 200]
    progress = next(message for message in told if "loss" in message)
    assert set(progress) == {"images", "total", "loss", "images_per_second", "seconds_left"}
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights.values())
    assert torch.equal(
        load_file(tmp_path / "snapshots/000000200/ema.safetensors")["words.weight"], weights["words.weight"]
    )
    assert list((tmp_path / "logs" / "tensorboard").iterdir())
    assert [batch.index[0].item() for batch in modules.seen] == list(range(0, 200, 8))


def test_images_that_no_batch_divides_end_after_the_last_batch(run, tmp_path: Path):
    _, told, modules = run(tmp_path, replace(CONFIG, images=20))
    assert len(modules.seen) == 3
    assert told[-1]["images"] == 24


def test_a_loss_that_is_not_finite_stops(run, tmp_path: Path):
    with pytest.raises(FloatingPointError, match=r"lower optimizer\.muon_rate=1e\+30"):
        run(tmp_path, replace(CONFIG, optimizer=OptimizerConfig(muon_rate=1e30, adam_rate=1e30)))


@pytest.mark.parametrize(
    ("images", "batch", "snapshot_every", "expected"),
    [(75_000, 64, 16_000, 320), (200, 64, 50, 64), (10**9, 64, 10**6, 9984), (10**6, 64, 1000, 960)],
)
def test_report_intervals(images: int, batch: int, snapshot_every: int, expected: int):
    assert report_interval(TrainConfig(images=images, batch=batch, snapshot_every=snapshot_every)) == expected


def test_seeds_differ_in_every_part():
    seeds = {seed_at(seed, images, stream) for seed in (0, 1) for images in (0, 64) for stream in ("a", "b")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
