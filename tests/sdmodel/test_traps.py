"""Mistakes that trainers of this field have made, each measured once in another's code: ours makes none."""

import json
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.players import losses_of
from sdmodel.train.bf16 import leave_onednn
from sdmodel.train.ema import WeightAverages
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.optim.schedule import rate
from sdmodel.train.run import accelerator_of, run
from sdmodel.train.step import TrainStep
from tests.sdmodel.golden.tiny import OBJECTIVES, config_of, job
from tests.sdmodel.gradients import batch, made

# Weights and averages in bf16 stand still at small rates.


@contextmanager
def mixed(precision: str) -> Iterator[Accelerator]:
    """accelerate remembers the first precision that it is asked for."""
    AcceleratorState._reset_state(reset_partial_state=True)
    trusted = torch._C._get_mkldnn_enabled()
    try:
        leave_onednn()
        yield Accelerator(cpu=True, mixed_precision=precision)
    finally:
        torch.backends.mkldnn.set_flags(trusted)
        AcceleratorState._reset_state(reset_partial_state=True)


def far(gradient: torch.Tensor) -> bool:
    return float(gradient.abs().max()) > 1e-6


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_in_bf16_weights_and_averages_are_fp32_and_move(objective: Any):
    slow = OptimizerConfig(kind="adamw", adam_rate=1e-4)
    config = config_of(objective, optimizer=slow)
    with mixed("bf16") as accelerator:
        ours = made(config)
        before = {name: p.detach().clone() for name, p in ours.modules.named_parameters()}
        opts = optimizers(ours.modules, config.learning, ours.players)
        averages = WeightAverages(ours.modules, config.ema, config.batch)
        step = TrainStep(ours, accelerator, config, opts, parts=1)
        losses: dict[str, torch.Tensor] = {}
        got: set[str] = set()
        for turn in step.turns:
            losses |= step.gradients(batch(config), 0, turn)[0]
            # Below AdamW's epsilon, 1e-8, a gradient is the noise of threads, and a step as good as none.
            got |= {name for name, p in ours.modules.named_parameters() if p.grad is not None and far(p.grad)}
            step.optimize(turn)
        averages.update(20_000)  # by half a percent
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    after, average = dict(ours.modules.named_parameters()), averages.weights()
    state = {value.dtype for each in opts for slots in each.state.values() for value in slots.values()}
    assert state == {torch.float32}
    assert len(got) > len(before) / 2
    for name in got:
        assert after[name].dtype == average[name].dtype == torch.float32
        assert not torch.equal(after[name], before[name]), name
        assert not torch.equal(average[name], before[name]), name


# oneDNN's gradients of bf16 are garbage every second time, with AMX too.


@pytest.mark.parametrize("amx", [False, True])
def test_in_bf16_no_processor_computes_by_onednn(amx: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    config = TrainConfig(device="cpu", precision="bf16")
    with mixed("no"):
        torch.backends.mkldnn.set_flags(True)
        AcceleratorState._reset_state(reset_partial_state=True)
        assert accelerator_of(config).mixed_precision == "bf16"
        assert not torch._C._get_mkldnn_enabled()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_in_bf16_equal_numbers_have_equal_gradients(objective: Any):
    config = config_of(objective)
    with mixed("bf16") as accelerator:
        norms: list[float] = []
        for _ in range(4):
            ours = made(config)
            opts = optimizers(ours.modules, config.learning, ours.players)
            step = TrainStep(ours, accelerator, config, opts, parts=1)
            norms.append(float(step.gradients(batch(config), 0)[1]))
    assert norms == pytest.approx(norms[:1] * 4, rel=0.02)


# Vectors near 0 have the length 0 in half precision, and no direction.


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_half_precision_and_pictures_of_nothing_have_finite_losses(objective: Any, kind: torch.dtype):
    config = config_of(objective)
    ours, rows = made(config), batch(config)
    with torch.no_grad():
        for name, p in ours.modules.named_parameters():
            if name.startswith(("head.2", "clip.visual.attnpool.c_proj", "clip.text_projection", "pairing.")):
                p.mul_(1e-6)
    with torch.autocast("cpu", dtype=kind):
        losses = losses_of(ours.modules, ours.players, replace(rows, images=torch.zeros_like(rows.images)))
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


# A schedule that accelerate prepares steps once a process and part, not once an update.


@pytest.mark.parametrize("parts", [1, 4])
def test_the_rate_follows_images_whatever_a_batch_is_taken_in(dataset: Any, tmp_path: Path, parts: int):
    config = config_of("autoencoder", accumulate=parts, images=48)
    run(job(tmp_path, dataset, config))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["rate"] for row in rows] == [rate(images, config) for images in range(0, 48, 8)]


# Pickles run what whoever wrote them wants.

unpickled: list[tuple[Any, ...]] = []
watching: list[bool] = []
sys.addaudithook(
    lambda event, args: unpickled.append(args) if watching and event == "pickle.find_class" else None
)


@contextmanager
def watched() -> Iterator[list[tuple[Any, ...]]]:
    """What is found in pickles that are read inside; an audit hook stays for good, so it is told when to."""
    unpickled.clear()
    watching.append(True)
    try:
        yield unpickled
    finally:
        watching.clear()


def test_the_watch_sees_pickles():
    with watched() as found:
        pickle.loads(pickle.dumps(Path("/")))
    assert found


class Stop:
    """Asked to stop at the second batch."""

    def __init__(self, file: Path):
        self.file, self.asked = file, 0

    def listen(self) -> None:
        pass

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked == 2


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_saving_and_resuming_reads_and_writes_no_pickle(
    objective: Any, dataset: Any, tmp_path: Path
):
    first = job(tmp_path / "training", dataset, config_of(objective, images=24, checkpoint_every=8))
    with watched() as found:
        assert not run(first, Stop(tmp_path / "stop"))  # type: ignore[arg-type]
        assert run(first)
        assert run(replace(first, folder=tmp_path / "next", start=tmp_path / "training/model"))
    assert found == []
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "logs" not in path.parts]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".jsonl", ".png", ".npy"}
