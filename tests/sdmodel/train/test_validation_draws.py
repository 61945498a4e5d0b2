"""What is measured is drawn by row: the same for every training, and for one process or several."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sdmodel.contrastive import pairs
from sdmodel.contrastive.foils import Foils
from sdmodel.data.batch import Batch
from sdmodel.objective import Objective
from sdmodel.train.validation import evaluating
from tests.sdmodel.golden.tiny import config_of
from tests.sdmodel.gradients import batch, made

CURVES = ("diffusion", "dit", "autoencoder", "contrastive", "text", "selfsupervised")
ADDED = ("diffusion", "dit", "autoencoder")
"""Those whose errors are sums over rows that know nothing of each other."""


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Tensor]]:
    """All that batches draw from now on, by what it is for."""
    drawn: dict[str, list[Tensor]] = {}
    for name in ("normal", "uniform", "stratified"):
        plain = getattr(Batch, name)

        def noted(self: Batch, stream: str, *shape: int, plain=plain, name=name) -> Tensor:
            drawn.setdefault(f"{name} {stream}", []).append(found := plain(self, stream, *shape))
            return found

        monkeypatch.setattr(Batch, name, noted)
    return drawn


def measured(objective: Objective, rows: Batch) -> dict[str, Tensor]:
    with evaluating(objective.modules):
        return objective.errors(rows)


@pytest.mark.parametrize("curve", CURVES)
def test_processes_draw_what_one_draws(curve: str, draws: dict[str, list[Tensor]]):
    config = config_of(curve)
    objective = made(config)
    torch.manual_seed(1)
    whole = measured(objective, batch(config))
    expected = {stream: each[0] for stream, each in draws.items()}
    draws.clear()
    torch.manual_seed(2)  # a process's own generator decides nothing
    halves = [measured(objective, batch(config, rank, 2)) for rank in range(2)]
    assert draws.keys() == expected.keys()
    for stream, each in draws.items():
        per_half = len(each) // 2
        assert torch.equal(torch.cat([each[0], each[per_half]]), expected[stream]), stream
    if curve in ADDED:
        for name, value in whole.items():
            torch.testing.assert_close(halves[0][name] + halves[1][name], value, rtol=1e-5, atol=1e-6)


def test_processes_have_the_foils_that_one_has():
    config = config_of("contrastive")
    foils = Foils(batch(config).captions * 3)
    whole = pairs.foils_of(batch(config), foils, 2)
    assert whole == [foil for rank in range(2) for foil in pairs.foils_of(batch(config, rank, 2), foils, 2)]
    assert whole != pairs.foils_of(replace(batch(config), seed=1), foils, 2)
