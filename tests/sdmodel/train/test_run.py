import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from sdmodel.config.learning import DataConfig, EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import read_index
from sdmodel.data.pixels import to_float
from sdmodel.data.stream import Stream
from sdmodel.objectives import objective_of
from sdmodel.train import memory
from sdmodel.train.ema import WeightAverages
from sdmodel.train.prepare import prepare
from sdmodel.train.run import accelerator_of, gauge_of, run
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.golden.tiny import config_of, job
from tests.sdmodel.train.toy import Toy, ToyObjective

CONFIG = TrainConfig()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no CUDA device is found"):
        accelerator_of(replace(CONFIG, device="cuda"))


def test_precision_is_fp32_on_the_cpu():
    assert accelerator_of(replace(CONFIG, device="cpu")).mixed_precision == "no"


def test_both_splits_are_measured_in_the_frame_that_is_trained_on(dataset: Any, tmp_path: Path):
    data = DataConfig(crop=True)
    config = config_of("autoencoder", data=data, validation=ValidationConfig(every=8, rows=4))
    validator = prepare(job(tmp_path, dataset, config), Accelerator(cpu=True)).validator
    assert validator
    for split in ("train", "validation"):
        batch = validator.rows[split].at(0)
        index = read_index(dataset.index, dataset.tars, split)
        wide = decode_all(index, config.size, data).pictures
        pixels = wide.read(np.array([index.uids.index(uid) for uid in batch.uids]))  # 18 to a side
        assert torch.equal(batch.images, to_float(pixels[:, :, 1:17, 1:17]))


class Noting(ToyObjective):
    """Notes how its forward is called."""

    def __init__(self, whole_batch: bool = False) -> None:
        super().__init__(Toy(), whole_batch)
        self.seen: list[tuple[int, bool]] = []
        self.modules.register_forward_pre_hook(self._note)

    def _note(self, modules: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.seen.append((len(arguments[0]), torch.is_autocast_enabled("cpu")))


def accelerator(world: int = 1) -> Any:
    """One in half precision, whose processes cannot talk."""
    autocast = partial(torch.autocast, "cpu", torch.bfloat16)
    return SimpleNamespace(
        device=torch.device("cpu"), num_processes=world, mixed_precision="bf16", autocast=autocast
    )


def test_flops_are_counted_on_as_few_rows_as_can_be(dataset: Any):
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    some, comparing = Noting(), Noting(whole_batch=True)
    stream, odd = (Stream(pictures, batch=rows, seed=0) for rows in (8, 3))
    config = replace(CONFIG, activation_checkpointing=True, accumulate=2)
    few = gauge_of(config, accelerator(), some, stream).flops
    all_rows = gauge_of(config, accelerator(), comparing, odd).flops
    assert some.seen == [(2, True)]
    assert comparing.seen == [(3, True)]
    assert few == pytest.approx(all_rows)
    shared = replace(config, fsdp=True, optimizer=OptimizerConfig(kind="adamw"))
    assert gauge_of(shared, accelerator(world=2), some, stream).flops == few
    assert gauge_of(shared, accelerator(world=2), comparing, stream).flops == 0
    assert len(comparing.seen) == 1


def test_what_is_frozen_has_no_gradient_that_counts(dataset: Any, tmp_path: Path):
    def flops(**optimizer: Any) -> float:
        config = config_of("autoencoder", optimizer=OptimizerConfig(**optimizer))
        made = prepare(job(tmp_path, dataset, config), Accelerator(cpu=True))
        return gauge_of(config, accelerator(), made.objective, made.stream).flops

    assert flops(frozen=("vae.encoder",)) < 0.9 * flops()


def test_memory_is_estimated_before_the_first_step(
    dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With room for the state, and for a step of no more than four of the batch's eight rows."""
    config = config_of("autoencoder", images=8, device="cpu")
    made = prepare(job(tmp_path, dataset, config), Accelerator(cpu=True))
    estimate = gauge_of(config, Accelerator(cpu=True), made.objective, made.stream).memory
    assert estimate
    assert estimate.activations.row > 0
    messages: list[Any] = []
    run(job(tmp_path / "ample", dataset, config), report=messages.append)
    assert not [message for message in messages if "rows at once" in message.get("warning", "")]
    monkeypatch.setattr(memory, "CONTEXT", 0)
    monkeypatch.setattr(memory, "SPARE", 0)
    messages.clear()
    room = estimate.total(4, checkpointing=False)
    monkeypatch.setattr(memory, "memory_of_machine", lambda: room)
    run(job(tmp_path / "tight", dataset, config), report=messages.append)
    (warning,) = [message["warning"] for message in messages if "rows at once" in message.get("warning", "")]
    assert warning.startswith("a step with 8 rows at once takes about 0.0 GiB")
    assert "accumulate=2 takes 4 at once" in warning
    assert messages.index({"warning": warning}) < min(n for n, row in enumerate(messages) if "images" in row)


def test_captions_that_are_cut_are_reported(dataset: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for objective in ("diffusion", "contrastive", "text"):
        config = config_of(objective, images=8)
        text = replace(config.text, length=4)
        pretrain = replace(config.pretrain, masked=0.0, next=0.0, noise=0.0, consistency=0.0)
        config = replace(config, text=text, pretrain=pretrain)
        assert run(job(tmp_path / objective, dataset, config))
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        messages = [json.loads(line) for line in lines]
        (warning,) = [m["warning"] for m in messages if "are cut" in m.get("warning", "")]
        assert warning.startswith("100.0% of 126 captions have more than the 4 tokens that are read of one")
        assert "train.text.length" in warning


def test_by_default_no_caption_is_cut_and_the_model_says_its_length(dataset: Any, tmp_path: Path):
    text = replace(config_of("diffusion").text, length=0)
    made = prepare(
        job(tmp_path, dataset, config_of("diffusion", text=text)),
        Accelerator(cpu=True),
    ).objective
    made.save(tmp_path, WeightAverages(made.modules, EmaConfig(), 1).weights())
    assert json.loads((tmp_path / "config.json").read_text())["model"]["text"][0]["length"] == 32

    # It goes on at its own length, whatever other captions would ask for.
    longer = objective_of(config_of("diffusion", text=text), ["a red half on the left " * 20] * 2)
    longer.start(tmp_path)
    assert [reader.length for reader in longer.readers] == [32]
    shorter = objective_of(config_of("diffusion", text=replace(text, length=16)), ["a red half"] * 2)
    with pytest.raises(ValueError, match="text must agree"):
        shorter.start(tmp_path)
