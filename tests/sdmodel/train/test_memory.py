"""Memory by formulas: what fits, fits; and what is shared is shared."""

import pytest
import torch
from torch import nn

from sdmodel.config.learning import EmaConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train import memory as memories
from sdmodel.train.activations import Activations
from sdmodel.train.memory import SPARE, MemoryEstimate, check_fits, state_bytes, tight_memory

MIB = 2**20
ESTIMATE = MemoryEstimate(
    weights=400 * MIB,
    gradients=400 * MIB,
    moments=800 * MIB,
    averages=400 * MIB,
    activations=Activations(constant=200 * MIB, row=150 * MIB),
    checkpointed=Activations(constant=20 * MIB, row=30 * MIB),
)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("memory", [4e9, 8e9, 24e9, 141e9])
def test_as_many_rows_as_fit_and_no_more(memory: float, checkpointing: bool):
    rows, free = ESTIMATE.rows(memory, checkpointing=checkpointing), memory * (1 - SPARE)
    assert ESTIMATE.total(rows, checkpointing=checkpointing) <= free
    assert ESTIMATE.total(rows + 1, checkpointing=checkpointing) > free


def test_what_does_not_fit_fits_no_row():
    assert ESTIMATE.rows(2e9, checkpointing=True) == 0


def test_shared_weights_take_a_share_and_activations_all():
    shared = ESTIMATE.shared(4)
    assert shared.state == ESTIMATE.state // 4
    assert shared.activations == ESTIMATE.activations


def test_the_state_counts_what_learns_and_what_does_not():
    model = nn.ModuleDict({"a": nn.Linear(10, 10, bias=False), "b": nn.Linear(10, 5, bias=False)})
    model["b"].requires_grad_(False)
    config = TrainConfig(optimizer=OptimizerConfig(kind="adamw"), ema=EmaConfig(lengths=(0.05, 0.1)))
    assert state_bytes(model, config) == {"weights": 600, "gradients": 400, "moments": 800, "averages": 1200}


def test_moments_are_those_that_the_optimizer_keeps():
    model = nn.Linear(10, 10)
    config = TrainConfig(optimizer=OptimizerConfig(kind="adamw"))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 10)).sum().backward()
    optimizer.step()
    kept = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert state_bytes(model, config)["moments"] == sum(value.nbytes for value in kept)


@pytest.mark.parametrize(("processes", "fsdp"), [(1, False), (2, True)])
def test_a_state_that_cannot_fit_is_refused_before_anything_is_learned(
    processes: int, fsdp: bool, monkeypatch: pytest.MonkeyPatch
):
    model = nn.Linear(10, 10, bias=False)
    config = TrainConfig(optimizer=OptimizerConfig(kind="adamw"), fsdp=fsdp)
    state = sum(state_bytes(model, config).values())
    monkeypatch.setattr(memories, "memory_of_machine", lambda: state)
    check_fits(model, config, torch.device("cpu"), processes)
    monkeypatch.setattr(memories, "memory_of_machine", lambda: state - 2)
    with pytest.raises(ValueError, match=r"weights, gradients, moments and averages take .* GiB: take a"):
        check_fits(model, config, torch.device("cpu"), processes)


def estimate_of(config: TrainConfig, row: int, *, checkpointed: int = MIB) -> MemoryEstimate:
    """Of a small model that keeps `row` bytes of each row."""
    return MemoryEstimate(
        **state_bytes(nn.Linear(10, 10), config),
        activations=Activations(constant=0, row=row),
        checkpointed=Activations(constant=0, row=checkpointed),
    )


@pytest.mark.parametrize(
    ("row", "accumulate", "remedy"),
    [
        (100 * MIB, 1, None),
        (500 * MIB, 1, "accumulate=4 takes 4 at once"),
        (500 * MIB, 4, None),
        (500 * MIB, 0, None),
        (9000 * MIB, 1, "activation_checkpointing=true takes less"),
    ],
)
def test_a_step_that_may_not_fit_is_warned_of_with_what_to_do(
    row: int, accumulate: int, remedy: str | None, monkeypatch: pytest.MonkeyPatch
):
    """Two processes with 4 GiB each, of which one is taken for the framework."""
    monkeypatch.setattr(memories, "memory_of_machine", lambda: 2 * 4 * 2**30)
    config = TrainConfig(batch=32, processes=2, accumulate=accumulate)
    found = tight_memory(estimate_of(config, row), config, torch.device("cpu"), 2)
    assert found is None if remedy is None else found and remedy in found


def test_where_nothing_helps_the_model_is_too_large(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memories, "memory_of_machine", lambda: 2**30)
    config = TrainConfig(batch=32)
    found = tight_memory(estimate_of(config, MIB), config, torch.device("cpu"), 1)
    assert found is not None
    assert found.endswith("take a smaller model, size or batch")
