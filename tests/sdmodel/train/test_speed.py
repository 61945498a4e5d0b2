import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.train import speed

ROWS, WIDTH = 4, 8
CPU = torch.device("cpu")


class Block(nn.Module):
    """A product, a convolution, attention, running statistics and dropout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).flatten(2).mT  # (B, H W, C)
        x = F.scaled_dot_product_attention(x, x, x)
        return self.dropout(self.linear(x))


class Toy(nn.Module):
    """An objective's modules."""

    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        noise = batch.normal("noise", *batch.images.shape[1:])
        return {"toy": self.block(batch.images + noise).square().mean()}


class Objective:
    """Trains Toy."""

    whole_batch = False
    players = ()

    def __init__(self):
        torch.manual_seed(0)
        self.modules = Toy()
        self.heavy: list[nn.Module] = [self.modules.block]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        raise AssertionError("single steps are taken here, and nothing is validated")

    def start(self, folder: Path) -> None:
        raise AssertionError("it begins with its own weights")

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        raise AssertionError("nothing is trained to its end here")


def batch(side: int = 4) -> Batch:
    images = torch.randn(ROWS, 3, side, side, generator=torch.Generator().manual_seed(1))
    names = [str(row) for row in range(ROWS)]
    return Batch(images=images, captions=names, uids=names, index=torch.arange(ROWS), size=ROWS, start=0)


def step(objective: Objective) -> tuple[Tensor, list[Tensor], int]:
    """Loss, gradients, and numbers held for the backward pass."""
    held = 0

    def hold(x: Tensor) -> Tensor:
        nonlocal held
        held += x.numel()
        return x

    torch.manual_seed(2)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda x: x):
        loss = objective.modules(batch())["toy"]
    loss.backward()
    return loss.detach(), [p.grad for p in objective.modules.parameters() if p.grad is not None], held


def test_checkpointing_changes_memory_alone():
    plain, saving = Objective(), Objective()
    speed.checkpoint_heavy(saving)
    (loss, gradients, held), (same, alike, less) = step(plain), step(saving)
    assert torch.equal(loss, same)
    assert len(gradients) == len(alike) == len(list(plain.modules.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(gradients, alike, strict=True))
    assert less < held / 2
    same_state(plain, saving)


def test_what_is_compiled_computes_alike(monkeypatch: pytest.MonkeyPatch):
    """Checkpointed, too. Without the last stage of the compiler, which writes C++."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, fast, both = Objective(), Objective(), Objective()
    for objective in (plain, fast, both):
        objective.modules.block.dropout.p = 0.0  # a compiler may draw other numbers
    graphs: dict[str, int] = torch._dynamo.utils.counters["stats"]  # pyright: ignore
    before = graphs["unique_graphs"]
    speed.compile_heavy(fast)
    speed.compile_heavy(both)
    speed.checkpoint_heavy(both)
    loss, gradients, held = step(plain)
    for objective, part in ((fast, 1.0), (both, 0.5)):
        same, alike, less = step(objective)
        torch.testing.assert_close(same, loss)
        torch.testing.assert_close(alike, gradients)
        assert less <= part * held
        same_state(plain, objective)
    assert graphs["unique_graphs"] > before


def same_state(one: Objective, other: Objective) -> None:
    torch.testing.assert_close(other.modules.state_dict(), one.modules.state_dict(), rtol=0, atol=1e-6)


def test_flops_are_those_counted_by_hand():
    objective = Objective()
    flops = speed.count_rows(objective, batch()).flops / len(batch())
    places = 4 * 4
    convolution = 2 * places * WIDTH * 27
    product = 2 * places * WIDTH * WIDTH
    attention = 2 * 2 * places * places * WIDTH
    # The gradients of weights and of inputs cost as much as the forward pass each; images need none.
    assert flops == 2 * convolution + 3 * product + 3 * attention


def test_counting_leaves_no_trace():
    objective = Objective()
    before = {name: value.clone() for name, value in objective.modules.state_dict().items()}
    torch.manual_seed(5)
    speed.count_rows(objective, batch())
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(before[name], value) for name, value in objective.modules.state_dict().items())
    assert all(p.grad is None for p in objective.modules.parameters())


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H200", "bf16", 989.4e12),
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4e12),
        ("NVIDIA H100 PCIe", "bf16", 756e12),
        ("NVIDIA A100-SXM4-40GB", "fp32", 156e12),
        ("NVIDIA A10G", "bf16", 125e12),
        ("NVIDIA L4", "bf16", 121e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA GeForce RTX 4090", "fp32", 82.6e12),
        ("NVIDIA GB200", "bf16", 2500e12),
        ("NVIDIA RTX A4000", "bf16", 1.0),  # no A40
        ("NVIDIA H2000", "fp32", 1.0),
    ],
)
def test_peaks_are_found_by_name(monkeypatch: pytest.MonkeyPatch, name: str, precision: Any, expected: float):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)  # pyright: ignore
    monkeypatch.setattr(speed, "_measured", lambda device, precision: 1.0)  # pyright: ignore
    assert speed.peak_flops(torch.device("cuda"), precision) == expected


def test_a_cpu_s_peak_is_measured():
    assert 1e8 < speed.peak_flops(CPU, "fp32") < 1e14
    assert speed.mfu(10, 2e9, 1e11) == pytest.approx(0.2)


def test_long_trainings_on_gpus_are_compiled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")  # pyright: ignore
    cuda, hour = torch.device("cuda"), round(3600 * 0.3 * 989.4e12 / 1e11)
    auto = TrainConfig()
    assert speed.worth_compiling(auto, cuda, hour + 1, 1e11)
    assert not speed.worth_compiling(auto, cuda, hour - 1, 1e11)
    assert not speed.worth_compiling(auto, CPU, hour + 1, 1e11)
    assert speed.worth_compiling(TrainConfig(compile="on"), CPU, 1, 1)
    assert not speed.worth_compiling(TrainConfig(compile="off"), cuda, hour + 1, 1e11)
