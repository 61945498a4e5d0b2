"""A training that is validated on the way is the training that it would have been."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from sdmodel.config.learning import ValidationConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.train import checkpoint
from sdmodel.train.grids import Grid
from sdmodel.train.job import ContinuedFrom
from sdmodel.train.loop import train
from sdmodel.train.validation import Validator, batch_size
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import CONFIG, KilledError, ToyObjective, tree

EVERY = 24
VALIDATED = replace(CONFIG, checkpoint_every=40, validation=ValidationConfig(every=EVERY, rows=12))


@pytest.fixture
def run(dataset):
    pictures = {
        split: decode_all(read_index(dataset.index, dataset.tars, split), 8)
        for split in ("train", "validation")
    }
    accelerator = Accelerator(cpu=True)
    torch.set_num_threads(1)
    validators: list[Validator] = []

    def run(
        folder: Path,
        config: TrainConfig = VALIDATED,
        kill_at: int = 10**9,
        validated: bool = True,
        continued: ContinuedFrom | None = None,
    ) -> tuple[dict[str, Tensor] | None, list[dict[str, float]]]:
        """One life: (weights, rows of metrics), unless it dies when `kill_at` images are reported; the
        validator comes last in `run.validators`."""
        folder.mkdir(exist_ok=True)
        torch.manual_seed(config.seed)
        objective = ToyObjective()

        def report(message: dict[str, float]) -> None:
            if "loss" in message and message["images"] >= kill_at:
                raise KilledError

        def sample(captions: list[str], seeds: list[int], size: int) -> Tensor:
            weight = next(objective.modules.parameters()).detach()
            return weight.mean().tanh().expand(len(captions), 3, 4, 4)

        def rows(split: str) -> Stream:
            return Stream(pictures[split], batch=batch_size(config, 1), seed=0)

        grid = Grid(sample, ["a", "b"], folder / "samples")
        validator = Validator(objective, rows("train"), rows("validation"), config.validation, grid=grid)
        validators.append(validator)
        stream = Stream(pictures["train"], batch=config.batch, seed=config.seed)
        weights = train(
            objective,
            stream,
            config,
            accelerator,
            folder,
            report,
            validator=validator if validated else None,
            continued=continued,
        )
        return weights, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    run.validators = validators  # type: ignore[attr-defined]
    return run


def test_what_is_measured_changes_nothing(run, tmp_path: Path):
    weights, metrics = run(tmp_path / "validated")
    expected, plain = run(tmp_path / "plain", validated=False)
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    assert [{name: row[name] for name in first} for first, row in zip(plain, metrics, strict=True)] == plain
    measured = [row["images"] for row in metrics if "validation/ema/loss" in row]
    assert measured == [*range(EVERY, 200, EVERY), 200]
    assert sorted(path.name for path in (tmp_path / "validated" / "samples").iterdir()) == [
        *(f"{images:09d}.png" for images in measured),
        "progress.png",
    ]


def publishes_the_best(
    weights: dict[str, Tensor], metrics: list[dict[str, float]], folder: Path, validator: Validator
) -> None:
    """They are the averages, and the running statistics beside them, of the best validation's time."""
    errors = {row["images"]: row["validation/ema/loss"] for row in metrics if "validation/ema/loss" in row}
    least = min(errors, key=lambda images: errors[images])
    assert least < metrics[-1]["images"]
    assert validator.best == {"images": least, "error": errors[least]}
    tensors = checkpoint.read(folder / f"checkpoints/{least:09d}").tensors
    for name, value in weights.items():
        average = tensors["averages"].get(f"half_life:{name}")
        assert torch.equal(value, tensors["model"][name] if average is None else average), name


def test_killed_and_resumed_it_stops_early_where_it_would_have_and_publishes_the_best(run, tmp_path: Path):
    rule = ValidationConfig(every=EVERY, rows=8, patience=2)
    changes = {"seed": 5, "images": 800, "checkpoint_every": EVERY, "checkpoint_keep_every": 1}
    patient = replace(VALIDATED, **changes, validation=rule)  # pyright: ignore[reportArgumentType] - by name
    expected, metrics = run(tmp_path / "whole", patient)
    publishes_the_best(expected, metrics, tmp_path / "whole", run.validators[-1])
    errors = [row["validation/ema/loss"] for row in metrics if "validation/ema/loss" in row]
    assert metrics[-1]["images"] < 800
    assert errors.index(min(errors)) == len(errors) - 3
    assert min(errors) < errors[0]
    for kill in (40, 48, 88, metrics[-1]["images"]):
        with pytest.raises(KilledError):
            run(tmp_path / "killed", patient, kill)
    weights, _ = run(tmp_path / "killed", patient)
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    again, _ = run(tmp_path / "killed", patient)  # nothing is left to do
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")
    assert all(torch.equal(value, again[name]) for name, value in expected.items())


def test_without_patience_the_last_weights_are_published(run, tmp_path: Path):
    weights, _ = run(tmp_path)
    tensors = checkpoint.read(tmp_path / "checkpoints/000000200").tensors
    assert "best" not in tensors
    assert all(torch.equal(value, weights[name.split(":")[1]]) for name, value in tensors["averages"].items())


@pytest.mark.parametrize(("same_measure", "chosen"), [(True, 24), (False, 72)])
def test_the_best_so_far_counts_on_where_the_same_is_measured(
    run, tmp_path: Path, same_measure: bool, chosen: int
):
    patient = replace(VALIDATED.validation, patience=9)
    config = replace(VALIDATED, images=48, validation=patient)
    run(tmp_path / "first", config)
    folder = tmp_path / "first/checkpoints/000000048"
    state = json.loads((folder / "state.json").read_text())
    state["facts"]["validation"] |= {"least": -1.0, "images": 24, "waited": 9}  # no later error is smaller
    (folder / "state.json").write_text(json.dumps(state))
    best = load_file(folder / "best.safetensors")

    continued = ContinuedFrom(checkpoint=folder, images=48, same_measure=same_measure)
    weights, rows = run(tmp_path / "more", replace(config, images=72), continued=continued)
    assert run.validators[-1].best["images"] == chosen
    assert rows[-1]["images"] == 72  # it had waited long enough, and goes on
    assert all(torch.equal(best[name], value) for name, value in weights.items()) == same_measure

    # Without patience the last weights are published, whatever was the best.
    impatient = replace(config, images=72, validation=VALIDATED.validation)
    weights, _ = run(tmp_path / "last", impatient, continued=continued)
    assert not all(torch.equal(best[name], value) for name, value in weights.items())
