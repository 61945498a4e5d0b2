import json
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from sdmodel.autoencoder.objective import AutoencoderObjective
from sdmodel.config.learning import GuardConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.train.job import ContinuedFrom
from sdmodel.train.loop import report_interval, train
from sdmodel.train.step import TrainStep
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.golden.tiny import config_of
from tests.sdmodel.train.toy import CONFIG, KilledError, Plain, Toy, ToyObjective, tree


@pytest.fixture
def run(dataset):
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    accelerator = Accelerator(cpu=True)

    def run(
        folder: Path,
        config: TrainConfig = CONFIG,
        kill_at: int | None = None,
        modules: Callable[[], Toy] = Toy,
        **options: Any,
    ):
        """One life: (weights, messages, modules), unless it dies when `kill_at` images are reported."""
        folder.mkdir(exist_ok=True)
        torch.manual_seed(config.seed)
        objective = ToyObjective(modules())
        messages: list[dict[str, Any]] = []

        def report(message: dict[str, Any]) -> None:
            messages.append(message)
            if kill_at is not None and message.get("images", 0) >= kill_at and "loss" in message:
                raise KilledError

        stream = Stream(pictures, batch=config.batch, seed=config.seed)
        weights = train(objective, stream, config, accelerator, folder, report, **options)
        return weights, messages, objective.modules

    torch.set_num_threads(1)
    return run


def test_killed_and_resumed_is_undisturbed_to_the_bit(run, tmp_path: Path):
    expected, _, _ = run(tmp_path / "whole")
    for kill in (8, 64, 64, 72, 160, 200):  # before the first checkpoint, on one, after one; at the end
        with pytest.raises(KilledError):
            run(tmp_path / "killed", kill_at=kill)
    weights, messages, _ = run(tmp_path / "killed")
    assert messages[0]["images"] == 160  # from the checkpoint at 152
    for name, value in expected.items():
        assert torch.equal(value, weights[name]), name
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")
    weights, messages, modules = run(tmp_path / "killed")  # nothing is left to do
    assert (messages, modules.seen) == ([], [])
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())


def test_a_damaged_checkpoint_costs_time_alone(run, tmp_path: Path):
    run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", kill_at=136)
    newest = max((tmp_path / "killed" / "checkpoints").iterdir()) / "optimizer.safetensors"
    newest.write_bytes(newest.read_bytes()[:-8])
    _, messages, _ = run(tmp_path / "killed")
    assert str(newest) in messages[0]["warning"]
    assert tree(tmp_path / "whole") == tree(tmp_path / "killed")


def test_reports_and_checkpoints(run, tmp_path: Path):
    weights, messages, modules = run(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["images"] for row in rows] == list(range(8, 201, 8))
    assert all(row["loss"] == pytest.approx(row["fit"] + row["size"]) for row in rows)
    assert set(rows[0]) == {"images", "loss", "fit", "size", "gradient_norm", "rate"}  # and no times
    assert [message["images"] for message in messages if "checkpoint" in message] == [56, 104, 152, 200]
    progress = next(message for message in messages if "loss" in message)
    assert set(progress) == {
        "images",
        "total",
        "size",
        "loss",
        "images_per_second",
        "seconds_left",
        "seconds",
        "memory",
    }
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights.values())
    assert torch.equal(
        load_file(tmp_path / "checkpoints/000000200/averages.safetensors")["half_life:words.weight"],
        weights["words.weight"],
    )
    assert list((tmp_path / "logs" / "tensorboard").iterdir())
    assert [batch.index[0].item() for batch in modules.seen] == list(range(0, 200, 8))


def test_images_that_no_batch_divides_end_after_the_last_batch(run, tmp_path: Path):
    _, messages, modules = run(tmp_path, replace(CONFIG, images=20))
    assert len(modules.seen) == 3
    assert messages[-1]["images"] == 24


def test_a_loss_that_is_not_finite_stops(run, tmp_path: Path):
    with pytest.raises(FloatingPointError, match=r"lower optimizer\.muon_rate=1e\+30"):
        run(tmp_path, replace(CONFIG, optimizer=OptimizerConfig(muon_rate=1e30, adam_rate=1e30)))


@pytest.mark.parametrize(
    ("images", "batch", "checkpoint_every", "expected"),
    [(75_000, 64, 16_000, 320), (200, 64, 50, 64), (10**9, 64, 10**6, 9984), (10**6, 64, 1000, 960)],
)
def test_report_intervals(images: int, batch: int, checkpoint_every: int, expected: int):
    assert (
        report_interval(TrainConfig(images=images, batch=batch, checkpoint_every=checkpoint_every))
        == expected
    )


def test_a_stop_saves_where_it_is_and_the_next_life_goes_on(run, tmp_path: Path):
    expected, _, _ = run(tmp_path / "whole")
    batches = iter(range(1000))
    weights, messages, _ = run(tmp_path / "stopped", stopping=lambda: next(batches) == 9)
    assert weights is None
    assert messages[-1]["images"] == 72
    assert messages[-1]["checkpoint"].endswith("000000072")
    weights, _, _ = run(tmp_path / "stopped")
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(run, tmp_path: Path, parts: int):
    whole, *_ = run(tmp_path / "whole", replace(CONFIG, images=64), modules=Plain)
    split, _, modules = run(tmp_path / "split", replace(CONFIG, images=64, accumulate=parts), modules=Plain)
    assert {len(batch) for batch in modules.seen} == {8 // parts}
    for name, value in whole.items():
        assert torch.allclose(value, split[name], atol=2e-5), name


def test_parts_must_fit():
    """However many processes the machine has, which no config knows."""
    config, two = replace(CONFIG, accumulate=8), typing.cast(Any, SimpleNamespace(num_processes=2))
    with pytest.raises(ValueError, match="accumulate=8 must divide the 4 rows"):
        TrainStep(ToyObjective(Plain()), two, config, [], config.accumulate)


class Breaking(Plain):
    """Its third batch has no finite loss, and a later one a gradient of a thousand times the usual norm."""

    def forward(self, batch) -> dict[str, Tensor]:
        losses = super().forward(batch)
        factor = {16: float("nan"), 512: 1e3}.get(int(batch.index[0]), 1.0)
        return {name: factor * loss for name, loss in losses.items()}


def test_a_bad_batch_stops_and_is_named(run, tmp_path: Path):
    words = r"batch after 16 images, uids \w{32}, .*lower optimizer\.muon_rate"
    with pytest.raises(FloatingPointError, match=words):
        run(tmp_path, modules=Breaking)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_bad_batches_are_left_out_and_named(run, tmp_path: Path):
    guard = GuardConfig(on_bad="skip", spike=20.0)
    config = replace(CONFIG, images=800, guard=guard, optimizer=OptimizerConfig(clip=0.0))
    weights, messages, modules = run(tmp_path / "some", config, modules=Breaking)
    warnings = [message["warning"] for message in messages if "warning" in message]
    assert [warning.split(",")[0] for warning in warnings] == [
        "left out the batch after 16 images",
        "left out the batch after 512 images",
    ]
    bad = next(batch for batch in modules.seen if batch.index[0] == 16)
    assert all(uid in warnings[0] for uid in bad.uids)
    assert all(value.isfinite().all() for value in weights.values())
    with pytest.raises(FloatingPointError, match=r"more than guard\.skips=0 batches are bad"):
        run(tmp_path / "none", replace(config, guard=replace(guard, skips=0)), modules=Breaking)


class Spoilt(Stream):
    """Its third batch is no picture."""

    def at(self, images_seen: int) -> Batch:
        batch = super().at(images_seen)
        return replace(batch, images=batch.images * float("nan")) if images_seen == 16 else batch


def test_running_statistics_do_not_take_in_what_is_left_out(dataset, tmp_path: Path):
    config = config_of("autoencoder", guard=GuardConfig(on_bad="skip"))
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), config.size)
    objective = AutoencoderObjective(config)
    stream = Spoilt(pictures, batch=config.batch, seed=config.seed)
    weights = train(objective, stream, config, Accelerator(cpu=True), tmp_path, lambda message: None)
    assert weights is not None
    assert all(value.isfinite().all() for value in weights.values())
    assert weights["seen"] == config.images - config.batch


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells of open files otherwise")
def test_a_resume_lets_go_of_the_checkpoint_s_files(run, tmp_path: Path):
    with pytest.raises(KilledError):
        run(tmp_path, kill_at=64)
    mapped: list[str] = []

    def stopping() -> bool:
        mapped.extend(
            line for line in Path("/proc/self/maps").read_text().splitlines() if "checkpoints/" in line
        )
        return False

    run(tmp_path, stopping=stopping)
    assert mapped == []


def test_a_full_disk_costs_a_checkpoint_and_no_training(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected, _, _ = run(tmp_path / "whole")
    calls = iter(range(1000))

    def full(*args: Any) -> None:
        if next(calls) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sdmodel.train.checkpoint._fsync", full)
    weights, messages, _ = run(tmp_path / "full")
    (warning,) = [message["warning"] for message in messages if "warning" in message]
    assert "no checkpoint at 56 images" in warning
    assert "No space left" in warning
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())


def test_chosen_checkpoints_stay(run, tmp_path: Path):
    run(tmp_path, replace(CONFIG, checkpoint_every=16, checkpoint_keep_every=4))
    numbers = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    assert numbers == [64, 128, 176, 192, 200]  # those for good, and the newest two of the others


def test_with_another_batch_it_goes_on_where_another_training_was(run, tmp_path: Path):
    run(tmp_path / "first", replace(CONFIG, images=40))
    continued = ContinuedFrom(checkpoint=tmp_path / "first/checkpoints/000000040", images=40)
    config = replace(CONFIG, batch=12, images=112, checkpoint_every=24)
    _, messages, modules = run(tmp_path / "more", config, continued=continued)
    assert [batch.index[0].item() for batch in modules.seen] == [40, 52, 64, 76, 88, 100]
    reports = [message["images"] for message in messages if "loss" in message]
    assert reports == [52, 64, 76, 88, 100, 112]
    assert [message["images"] for message in messages if "checkpoint" in message] == [52, 76, 100, 112]

    # Killed, it goes on from its own checkpoints.
    with pytest.raises(KilledError):
        run(tmp_path / "killed", config, kill_at=88, continued=continued)
    _, messages, _ = run(tmp_path / "killed", config, continued=continued)
    assert next(message["images"] for message in messages if "loss" in message) == 88
    assert tree(tmp_path / "killed") == tree(tmp_path / "more")
    damaged = tmp_path / "first/checkpoints/000000040/model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        run(tmp_path / "never", config, continued=continued)
