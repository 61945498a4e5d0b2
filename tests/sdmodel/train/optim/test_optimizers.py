import sys
from typing import Any

import pytest
import torch
from torch import nn

from sdmodel.config.learning import OptimizerConfig
from sdmodel.train.optim.optimizers import optimizers


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "conv": nn.Conv2d(3, 8, 3),
            "linear": nn.Linear(8, 8),
            "norm": nn.GroupNorm(2, 8),
            "embedding": nn.Embedding(10, 8),
            "attention": nn.MultiheadAttention(8, 2),
        }
    )


MATRICES = {"conv.weight", "linear.weight", "attention.in_proj_weight", "attention.out_proj.weight"}


def learned(modules: nn.Module, config: OptimizerConfig, option: str = "lr") -> dict[str, Any]:
    """Of each parameter that is learned, an option of its group."""
    names = {p: name for name, p in modules.named_parameters()}
    return {
        names[p]: group[option]
        for optimizer in optimizers(modules, config)
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_weights_that_multiply_are_muons():
    modules = model()
    modules.register_parameter("positions", nn.Parameter(torch.zeros(4, 8)))
    names = {p: name for name, p in modules.named_parameters()}
    muon, adam = optimizers(modules, OptimizerConfig())
    assert {names[p] for p in muon.param_groups[0]["params"]} == MATRICES
    assert len(adam.param_groups[0]["params"]) + len(MATRICES) == len(names)


@pytest.mark.parametrize("kind", ["muon", "adamw", "lion"])
def test_matrices_alone_decay(kind: Any):
    config = OptimizerConfig(kind=kind, weight_decay=0.1)
    decays = learned(model(), config, "weight_decay")
    assert decays == {name: 0.1 * (name in MATRICES) for name, _ in model().named_parameters()}


@pytest.mark.parametrize("kind", ["muon", "adamw", "lion"])
def test_every_kind_finds_the_least_error(kind: Any):
    torch.manual_seed(0)
    linear, x, y = nn.Linear(6, 5), torch.randn(32, 6), torch.randn(32, 5)
    opts = optimizers(linear, OptimizerConfig(kind=kind, muon_rate=0.1, adam_rate=0.1))
    rates = [group["lr"] for opt in opts for group in opt.param_groups]
    for step in range(100):
        (linear(x) - y).square().mean().backward()
        for opt, rate in zip(opts, rates, strict=True):
            opt.param_groups[0]["lr"] = rate * (1 - step / 100)
            opt.step()
            opt.zero_grad()
    inputs = torch.cat([x, torch.ones(32, 1)], 1)
    least = (inputs @ torch.linalg.lstsq(inputs, y).solution - y).square().mean()
    assert (linear(x) - y).square().mean() < 1.01 * least


def test_a_frozen_part_asks_for_no_gradient():
    modules = model()
    rates = learned(modules, OptimizerConfig(frozen=("conv.", "attention.out")))
    gone = {"conv.weight", "conv.bias", "attention.out_proj.weight", "attention.out_proj.bias"}
    assert rates.keys() == {name for name, _ in model().named_parameters()} - gone
    assert {name for name, p in modules.named_parameters() if not p.requires_grad} == gone


def test_the_longest_beginning_that_fits_sets_the_rate():
    config = OptimizerConfig(kind="adamw", adam_rate=0.1, rates={"attention.": 0.5, "attention.in": 2.0})
    rates = learned(model(), config)
    assert rates["attention.in_proj_weight"] == 0.2
    assert rates["attention.out_proj.weight"] == 0.05
    assert rates["linear.weight"] == 0.1


def test_what_names_nothing_is_refused():
    with pytest.raises(ValueError, match=r"optimizer.frozen.*'text\.'.*'attention', 'conv'"):
        optimizers(model(), OptimizerConfig(frozen=("text.",)))
    with pytest.raises(ValueError, match=r"optimizer.rates.*'text\.'"):
        optimizers(model(), OptimizerConfig(rates={"text.": 0.1}))
    everything = tuple(name for name, _ in model().named_children())
    with pytest.raises(ValueError, match="nothing to learn"):
        optimizers(model(), OptimizerConfig(frozen=everything))


def test_fused_steps_heed_the_layout_of_convolutions():
    """Fused AdamW goes through memory: a gradient in another layout would meet other weights."""

    def trained(fused: bool) -> list[torch.Tensor]:
        modules = model()["conv"].to(memory_format=torch.channels_last)  # pyright: ignore
        (opt,) = optimizers(modules, OptimizerConfig(kind="adamw", adam_rate=0.1))
        if not fused:
            opt = torch.optim.AdamW(opt.param_groups, fused=False, foreach=False)
        for _ in range(3):
            x = torch.arange(150.0).view(2, 3, 5, 5).sin()
            modules(x).square().mean().backward()
            opt.step()
            opt.zero_grad()
        return [p.detach() for p in modules.parameters()]

    for one, other in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_lion_is_its_paper_s():
    (opt,) = optimizers(linear := nn.Linear(4, 4, bias=False), OptimizerConfig(kind="lion", weight_decay=0.5))
    w, momentum = linear.weight.detach().clone(), torch.zeros(4, 4)
    for step in range(5):
        g = torch.randn(4, 4, generator=torch.Generator().manual_seed(step))
        linear.weight.grad = g.clone()
        opt.step()
        c = 0.9 * momentum + 0.1 * g
        w = w - 3e-3 * (c.sign() + 0.5 * w)
        momentum = 0.99 * momentum + 0.01 * g
    torch.testing.assert_close(linear.weight.detach(), w)


def test_eight_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(ValueError, match="pip install bitsandbytes"):
        optimizers(model(), OptimizerConfig(kind="adamw8bit"))
