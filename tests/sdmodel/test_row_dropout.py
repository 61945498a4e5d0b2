from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from accelerate import Accelerator
from scipy import stats
from torch import Tensor, nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.text import TextKind
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.row_dropout import RowDropout, StochasticDepth, by_row, copy_rates, drawing_for, linear_depth
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.speed import checkpoint_heavy
from sdmodel.train.step import TrainStep
from tests.sdmodel.golden.tiny import config_of
from tests.sdmodel.gradients import batch, made

ROWS = torch.arange(8)


def test_masks_are_functions_of_seed_row_and_layer():
    layers = nn.ModuleList([nn.Dropout(0.4), nn.Dropout(0.4)])
    by_row(layers)

    def masks(seed: int, rows: Tensor) -> list[Tensor]:
        with drawing_for(seed, rows):
            return [layer(torch.ones(len(rows), 5, 7)) for layer in layers]

    whole, again = masks(1, ROWS), masks(1, ROWS)
    parts = [masks(1, ROWS[begin : begin + 2]) for begin in range(0, 8, 2)]
    for mask, same, cut in zip(whole, again, zip(*parts, strict=True), strict=True):
        assert torch.equal(mask, same)
        assert torch.equal(mask, torch.cat(cut))
        assert set(mask.flatten().tolist()) == {0.0, torch.tensor(1 / 0.6).item()}
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole[0], masks(2, ROWS)[0])
    assert not torch.equal(whole[0], masks(1, ROWS + 8)[0])


def test_a_row_s_entries_follow_each_other():
    """As of captions and their foils: the first of a row is what the row alone would have."""
    layer = RowDropout(0.5, "layer")
    with drawing_for(0, ROWS):
        one, three = layer(torch.ones(8, 6)), layer(torch.ones(24, 6))
    assert torch.equal(three[::3], one)
    assert not torch.equal(three[1::3], one)


def test_the_share_is_left_out_and_the_mean_stays():
    x = torch.ones(4096, 16)
    with drawing_for(0, torch.arange(4096)):
        kept = RowDropout(0.3, "layer")(x)
        depth = StochasticDepth(0.3)(torch.zeros(4096, 16), x)
    assert stats.binomtest(int((kept == 0).sum()), kept.numel(), 0.3).pvalue > 0.01
    assert abs(kept.mean() - 1) < 0.01
    rows = (depth == 0).all(1)
    assert torch.equal(rows, (depth == 0).any(1))
    assert stats.binomtest(int(rows.sum()), 4096, 0.3).pvalue > 0.01
    assert abs(depth.mean() - 1) < 0.05


def test_nothing_is_left_out_at_0_and_in_evaluation():
    x, y = torch.randn(8, 3), torch.randn(8, 3)
    with drawing_for(0, ROWS):
        assert RowDropout(0.0, "layer")(x) is x
        assert torch.equal(RowDropout(0.5, "layer").eval()(x), x)
        assert StochasticDepth(0.0)(x, y) is y
        assert StochasticDepth(0.5).eval()(x, y) is y


def test_rates_rise_linearly_to_the_last_block():
    """Equation 4 of Huang et al. 2016: the l-th of L blocks survives with 1 - l / L (1 - p_L)."""
    rates = [depth.p for depth in linear_depth(0.5, 4)]
    assert rates == [0.125, 0.25, 0.375, 0.5]


def test_outside_of_a_step_torch_draws():
    layer = RowDropout(0.5, "layer")
    torch.manual_seed(3)
    ours = layer(torch.ones(4, 5))
    torch.manual_seed(3)
    assert torch.equal(ours, nn.Dropout(0.5)(torch.ones(4, 5)))


def test_rates_are_copied():
    one, other = (nn.ModuleList([nn.Linear(2, 2), nn.Dropout(p), StochasticDepth(p)]) for p in (0.1, 0.5))
    copy_rates(one, other)
    assert [layer.p for layer in list(other)[1:]] == [0.1, 0.1]


def test_it_compiles_without_a_break_and_for_all_batches():
    layers = nn.Sequential(nn.Dropout(0.4), nn.Linear(6, 6))
    by_row(layers)
    compiles: list[int] = []

    def counted(graph: Any, inputs: Any) -> Callable[..., Any]:
        compiles.append(len(inputs))
        return graph.forward

    program = torch.compile(layers, backend=counted, fullgraph=True, dynamic=False)
    for first in (0, 8, 16):
        with drawing_for(5, ROWS + first):
            assert torch.equal(program(torch.ones(8, 6)), layers(torch.ones(8, 6)))
    assert len(compiles) == 1


def learned(config: TrainConfig, batches: Iterable[Batch], parts: int, checkpointed: bool = False):
    """Losses and gradients of each batch, as of processes that have one each."""
    found: list[dict[str, Tensor]] = []
    for rows in batches:
        objective = made(config)
        if checkpointed:
            checkpoint_heavy(objective)
        step = TrainStep(
            objective, Accelerator(cpu=True), config, optimizers(objective.modules, config.learning), parts
        )
        losses, _ = step.gradients(rows, 0)
        gradients = {n: p.grad for n, p in objective.modules.named_parameters() if p.grad is not None}
        found.append({**losses, **gradients})
    return {name: torch.stack([each[name] for each in found]).mean(0) for name in found[0]}


def dropping(curve: str, **text: Any) -> TrainConfig:
    config = config_of(curve, optimizer=OptimizerConfig(clip=0.0), batch=8)
    half = {"dropout": 0.5, "stochastic_depth": 0.5}
    return replace(
        config,
        text=replace(config.text, dropout=0.5, layers=2, **text),
        unet=replace(config.unet, **half),
        dit=replace(config.dit, **half),
        unet2d=replace(config.unet2d, dropout=0.5),
    )


def assert_same(config: TrainConfig, checkpointed: bool = False) -> None:
    """One process, two with a half each, four parts."""
    one = learned(config, [batch(config)], 1)
    two = learned(config, [batch(config, 0, 2), batch(config, 1, 2)], 1)
    four = learned(config, [batch(config)], 4, checkpointed)
    for name, expected in one.items():
        for found in (two, four):
            torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("network", ["diffusion", "dit", "unet2d"])
def test_processes_and_parts_learn_what_one_learns(network: str):
    config = dropping(network)
    assert_same(config, checkpointed=True)
    plain = learned(config_of(network, optimizer=OptimizerConfig(clip=0.0)), [batch(config)], 1)
    assert not torch.equal(plain["denoising"], learned(config, [batch(config)], 1)["denoising"])


@pytest.mark.parametrize("kind", [kind for kind in get_args(TextKind) if kind != "transformer"])
def test_every_text_encoder_leaves_out_by_row(kind: TextKind):
    assert_same(dropping("dit", kind=kind, tokens="words", buckets=50))


def test_the_text_objective_leaves_out_by_row():
    config = dropping("text")
    assert_same(replace(config, pretrain=replace(config.pretrain, contrastive=0.0)))
