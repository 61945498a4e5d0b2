import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.learning import DataConfig, EmaConfig, ValidationConfig
from sdmodel.config.model import UNetConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.diffusion.denoising_errors import LEVELS, level_errors
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.train.ema import WeightAverages
from sdmodel.train.grids import Grid
from sdmodel.train.validation import Validator, batch_size, data_config, means

SPLITS = {"train": 0, "validation": 1}


class Pictures:
    """One process's share of the batches of a split; notes what was requested."""

    def __init__(self, split: str, batch: int = 8, rank: int = 0, world: int = 1):
        self.seed, self.batch, self.rank, self.rows = SPLITS[split], batch, rank, batch // world
        self.requested: list[int] = []

    def of(self, size: int) -> "Pictures":
        return self

    def at(self, images_seen: int) -> Batch:
        self.requested.append(images_seen)
        generator = torch.Generator().manual_seed(images_seen + 1000 * self.seed)
        mine = slice(self.rank * self.rows, (self.rank + 1) * self.rows)
        colours = torch.rand(self.batch, 3, 1, 1, generator=generator)[mine] * 2 - 1
        names = ["red" if colour[0] > 0 else "blue" for colour in colours.flatten(1).tolist()]
        return Batch(
            images=colours.expand(-1, 3, 8, 8).clone(),
            captions=names,
            uids=names,
            index=torch.arange(images_seen, images_seen + self.batch)[mine],
            size=self.batch,
            start=self.rank * self.rows,
        )


class Toy(nn.Module):
    """Everything that measuring could disturb: dropout, running statistics, frozen and still parts."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5))
        self.frozen = nn.Linear(2, 2).eval().requires_grad_(False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        estimate = self.layers(batch.images + batch.normal("noise", 3, 8, 8))
        return {"fit": (estimate - batch.images).square().mean(), "size": estimate.abs().mean()}


class ToyObjective:
    enough = None
    players = ()

    def __init__(self):
        torch.manual_seed(0)
        self.modules = Toy()

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        losses = self.modules(batch)
        return {name: loss.double() * len(batch) for name, loss in losses.items()}


class Diffusion:
    """The real model, with weights as after a few steps."""

    enough = None
    players = ()

    def __init__(self):
        config = TrainConfig(
            size=8,
            text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
            unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
        )
        torch.manual_seed(0)
        self.modules = DiffusionObjective(config, ["red", "blue"]).modules
        for parameter in self.modules.parameters():
            nn.init.normal_(parameter, std=0.1)

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        condition: Condition = self.modules.encode_captions(batch.captions)
        return level_errors(self.modules.denoise, batch.images, condition, batch)


class Halved:
    """Averages that are half of the weights."""

    def __init__(self, modules: nn.Module):
        self.modules = modules

    @contextmanager
    def swapped(self) -> Generator[None]:
        with torch.no_grad():
            for p in self.modules.parameters():
                p.mul_(0.5)
            yield
            for p in self.modules.parameters():
                p.mul_(2)


def validation(objective: Any, rank: int = 0, world: int = 1, **changes: Any) -> Validator:
    config = ValidationConfig(every=1, **{"rows": 24} | changes)
    return Validator(
        objective, Pictures("train", 8, rank, world), Pictures("validation", 8, rank, world), config
    )


def test_losses_are_means_over_the_same_rows_every_time():
    objective = ToyObjective()
    validator = validation(objective)
    measures = validator.run(8, Halved(objective.modules))
    assert validator.rows["validation"].requested == [0, 8, 16] * 2  # raw and averaged
    assert measures == validator.run(16, Halved(objective.modules))
    objective.modules.eval()
    expected = [
        objective.modules(Pictures("validation").at(place))["fit"] for number, place in enumerate((0, 8, 16))
    ]
    assert measures["validation/fit"] == pytest.approx(torch.stack(expected).mean().item())
    assert measures["validation/loss"] == pytest.approx(
        measures["validation/fit"] + measures["validation/size"]
    )
    assert set(measures) == {
        f"{split}/{kind}{name}"
        for split in SPLITS
        for kind in ("", "ema/")
        for name in ("fit", "size", "loss")
    }


def test_the_training_goes_on_as_if_nothing_had_been_measured(tmp_path: Path):
    objective = ToyObjective()
    modules = objective.modules.train()
    modules.frozen.eval()
    validator = validation(objective)

    def careless(captions: list[str], seeds: list[int], size: int) -> Tensor:
        modules.requires_grad_(False)
        return torch.rand(1, 3, 2, 2)

    validator.grid = Grid(careless, ["a"], tmp_path)
    before = {name: value.clone() for name, value in modules.state_dict().items()}
    torch.manual_seed(5)
    validator.run(8, Halved(modules))
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert all(torch.equal(value, before[name]) for name, value in modules.state_dict().items())
    assert [module.training for module in (modules, modules.layers[2], modules.frozen)] == [True, True, False]
    assert {name for name, p in modules.named_parameters() if p.requires_grad} == {
        f"layers.{i}.{name}" for i in (0, 1) for name in ("weight", "bias")
    }
    assert all(p.grad is None for p in modules.parameters())


def test_denoising_is_measured_for_each_level_of_both_splits_and_averages():
    objective = Diffusion()
    measures = validation(objective).run(8, Halved(objective.modules))
    for split in SPLITS:
        for kind in ("", "ema/"):
            levels = [measures[f"{split}/{kind}mse@{level}"] for level in range(LEVELS)]
            assert measures[f"{split}/{kind}mse"] == pytest.approx(
                sum(levels) / LEVELS
            )  # as many rows in each
            assert measures[f"{split}/{kind}rmse"] == pytest.approx(measures[f"{split}/{kind}mse"] ** 0.5)
    assert len(measures) == 4 * 4 * (1 + LEVELS)
    assert measures["validation/mse"] != measures["validation/ema/mse"] != measures["train/ema/mse"]
    json.dumps(measures, allow_nan=False)


def test_it_stops_when_the_averaged_weights_no_longer_improve():
    objective = Diffusion()
    validator, averages = validation(objective, rows=8, patience=2), Halved(objective.modules)
    assert validator.state() == validation(objective).state()
    validator.run(8, averages)
    validator.run(16, averages)
    again = validation(objective, rows=8, patience=2)
    again.load(json.loads(json.dumps(validator.state())))
    assert not again.stopped
    again.run(24, averages)
    assert again.stopped
    again.load({})  # of a training that was not validated until then
    assert validator.state()["images"] == 8


def test_quotients_stand_beside_the_loss():
    sums = {"fit": 6.0, "right": [1.0, 4.0], "never": [0.0, 0.0], "rows": 3.0}
    measures = means({name: torch.tensor(value, dtype=torch.float64) for name, value in sums.items()})
    assert measures == {"fit": 2.0, "loss": 2.0, "right": 0.25}


def test_the_objective_says_when_it_is_good_enough():
    class Content(ToyObjective):
        def enough(self, measures: dict[str, float]) -> bool:
            return measures["validation/ema/fit"] < 1e9

    assert not validation(ToyObjective(), rows=8).stopped
    for objective in (ToyObjective(), Content()):
        validator = validation(objective, rows=8)
        validator.run(8, Halved(objective.modules))
        assert validator.stopped == isinstance(objective, Content)


def test_the_grid_is_drawn_with_the_averaged_weights():
    objective = ToyObjective()
    seen: list[tuple[int, float]] = []
    validator = validation(objective, rows=8)
    weight = objective.modules.layers[0].weight

    class Noted(Grid):
        def draw(self, images: int, size: int = 0) -> Path:
            seen.append((images, weight.sum().item()))
            return self.folder

    validator.grid = Noted(lambda captions, seeds, size: torch.zeros(1), ["a"], Path())
    validator.run(8, Halved(objective.modules))
    assert seen == [(8, pytest.approx(weight.sum().item() / 2))]


def test_rows_are_measured_as_they_are():
    data = DataConfig(
        flip=True, crop=True, colour=0.3, augment=0.1, copies=1, weight="w", buckets=3, workers=2
    )
    assert data_config(data) == DataConfig(buckets=3, workers=2)


@pytest.mark.parametrize(
    ("batch", "rows", "processes", "expected"),
    [(64, 256, 2, 64), (1024, 256, 8, 256), (64, 20, 8, 16), (8, 2, 4, 4), (64, 50, 1, 32), (64, 50, 4, 32)],
)
def test_batches_are_no_larger_than_what_is_measured(batch: int, rows: int, processes: int, expected: int):
    config = TrainConfig(batch=batch, validation=ValidationConfig(rows=rows))
    assert batch_size(config, processes) == expected


def test_autocast_does_not_mix_the_weights_up():
    """Within one autocast the first cast of a weight serves again, whatever was put in its place."""
    raw, halved = Diffusion(), Diffusion()
    with torch.no_grad():
        for p in halved.modules.parameters():
            p.mul_(0.5)

    def measures_of(objective: Diffusion, averages: Any) -> dict[str, float]:
        validator = validation(objective, rows=8)
        validator.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
        return validator.run(8, averages)

    both, same = (
        measures_of(raw, kind) for kind in (Halved(raw.modules), WeightAverages(raw.modules, EmaConfig(), 8))
    )
    other = measures_of(halved, Halved(halved.modules))
    assert both["validation/mse"] == same["validation/mse"] == same["validation/ema/mse"]
    assert both["validation/ema/mse"] == other["validation/mse"] != both["validation/mse"]
