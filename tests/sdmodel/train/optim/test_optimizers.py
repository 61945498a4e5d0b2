import sys
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.lora import inject
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.optim.roles import Layout


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


def made(modules: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    return optimizers(modules, config.optimization(batch=8))


def learned(modules: nn.Module, config: OptimizerConfig, option: str = "lr") -> dict[str, Any]:
    """Of each parameter that is learned, an option of its group."""
    names = {p: name for name, p in modules.named_parameters()}
    return {
        names[p]: group[option]
        for optimizer in made(modules, config)
        for group in optimizer.param_groups
        for p in group["params"]
    }


def test_weights_that_multiply_are_muons():
    modules = model()
    modules.register_parameter("positions", nn.Parameter(torch.zeros(4, 8)))
    names = {p: name for name, p in modules.named_parameters()}
    muon, adam = made(modules, OptimizerConfig())
    assert {names[p] for group in muon.param_groups for p in group["params"]} == MATRICES
    assert len(adam.param_groups[0]["params"]) + len(MATRICES) == len(names)


class Net(nn.Module):
    """A first, a hidden and a last layer, fused keys and values, and a depthwise convolution."""

    adamw_layers = ("stem", "out")
    fused_layers: ClassVar = {"key_value": (1, 2)}

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, width, 3), nn.Linear(width, 6)
        self.space = nn.Conv2d(width, width, 3, groups=width)
        self.key_value = nn.Linear(width, 2 * width)


def test_layers_that_are_not_hidden_are_adamws_and_decay():
    modules = Net()
    muon, adam = made(modules, OptimizerConfig(weight_decay=0.1))
    assert [(group["params"], group["layout"]) for group in muon.param_groups] == [
        ([modules.key_value.weight], Layout(1, 2))
    ]
    decays = {p: group["weight_decay"] for group in adam.param_groups for p in group["params"]}
    decaying = {name for name, p in modules.named_parameters() if decays.get(p)}
    assert decaying == {"stem.weight", "out.weight"}
    assert decays.keys() == {*modules.parameters()} - {modules.key_value.weight}


def test_changes_of_low_rank_are_adamws():
    modules = nn.ModuleDict({"query": nn.Linear(8, 8), "mlp": nn.Linear(8, 8)})
    inject(modules, LoraConfig(rank=2, targets=("query",)))
    (adam,) = made(modules, OptimizerConfig(kind="muon", weight_decay=0.1))
    assert isinstance(adam, torch.optim.AdamW)
    assert [group["weight_decay"] for group in adam.param_groups] == [0.1]


@pytest.mark.parametrize("kind", ["adamw", "lion", "muon"])
def test_decay_takes_the_rate_times_its_share_of_a_weight(kind: Any):
    """Decoupled (Loshchilov and Hutter 2017, arXiv:1711.05101): with no gradient nothing else happens."""
    linear = nn.Linear(4, 4, bias=False)
    before = linear.weight.detach().clone()
    rates = {"muon_rate": 0.02, "adam_rate": 0.02}
    (opt,) = made(linear, OptimizerConfig(kind=kind, weight_decay=0.5, **rates))
    opt.param_groups[0]["lr"] /= 2  # as the schedule does it
    linear.weight.grad = torch.zeros(4, 4)
    opt.step()
    torch.testing.assert_close(linear.weight.detach(), before * (1 - 0.01 * 0.5))


def test_rates_follow_the_width_of_what_a_matrix_sums_over():
    """Table 3 of Yang et al. 2022: a rate of AdamW falls as the fan-in of hidden and last matrices grows, and
    stays for first ones, gains and shifts. Muon's stays."""
    rates = learned(Net(32), OptimizerConfig(kind="adamw", adam_rate=0.1, base_width=8))
    wide = {name for name, rate in rates.items() if rate == pytest.approx(0.1 * 8 / 32)}
    assert wide == {"key_value.weight", "out.weight"}
    assert all(rate == 0.1 for name, rate in rates.items() if name not in wide)
    assert set(learned(Net(8), OptimizerConfig(kind="adamw", adam_rate=0.1, base_width=8)).values()) == {0.1}
    muon = learned(Net(32), OptimizerConfig(muon_rate=0.2, adam_rate=0.1, base_width=8))
    assert (muon["key_value.weight"], muon["out.weight"]) == (0.2, 0.1 * 8 / 32)


def test_adamw_moves_outputs_alike_at_every_width():
    """What muP is for: after a few steps on the same task outputs have moved as far at 16 times the width."""

    def moved(width: int, base_width: int) -> float:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(width, width, bias=False), nn.Linear(width, 1, bias=False))
        nn.init.normal_(net[1].weight, std=1 / width)
        x = torch.randn(16, width)
        before = net(x).detach()
        (opt,) = made(net, OptimizerConfig(kind="adamw", adam_rate=0.01, base_width=base_width))
        for _ in range(5):
            (net(x) - 1).square().mean().backward()
            opt.step()
            opt.zero_grad()
        return float((net(x).detach() - before).abs().mean())

    assert moved(512, 32) < 1.5 * moved(32, 32)
    assert moved(512, 0) > 3 * moved(32, 0)


@pytest.mark.parametrize("kind", ["muon", "adamw", "lion"])
def test_matrices_alone_decay(kind: Any):
    config = OptimizerConfig(kind=kind, weight_decay=0.1)
    decays = learned(model(), config, "weight_decay")
    assert decays == {name: 0.1 * (name in MATRICES) for name, _ in model().named_parameters()}


@pytest.mark.parametrize("kind", ["muon", "adamw", "lion"])
def test_every_kind_finds_the_least_error(kind: Any):
    torch.manual_seed(0)
    linear, x, y = nn.Linear(6, 5), torch.randn(32, 6), torch.randn(32, 5)
    opts = made(linear, OptimizerConfig(kind=kind, muon_rate=0.1, adam_rate=0.1))
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
        made(model(), OptimizerConfig(frozen=("text.",)))
    with pytest.raises(ValueError, match=r"optimizer.rates.*'text\.'"):
        made(model(), OptimizerConfig(rates={"text.": 0.1}))
    everything = tuple(name for name, _ in model().named_children())
    with pytest.raises(ValueError, match="nothing to learn"):
        made(model(), OptimizerConfig(frozen=everything))


def test_fused_steps_heed_the_layout_of_convolutions():
    """Fused AdamW goes through memory: a gradient in another layout would meet other weights."""

    def trained(fused: bool) -> list[torch.Tensor]:
        modules = model()["conv"].to(memory_format=torch.channels_last)  # pyright: ignore
        (opt,) = made(modules, OptimizerConfig(kind="adamw", adam_rate=0.1))
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
    (opt,) = made(linear := nn.Linear(4, 4, bias=False), OptimizerConfig(kind="lion", weight_decay=0.5))
    w, momentum = linear.weight.detach().clone(), torch.zeros(4, 4)
    for step in range(5):
        g = torch.randn(4, 4, generator=torch.Generator().manual_seed(step))
        linear.weight.grad = g.clone()
        opt.step()
        c = 0.9 * momentum + 0.1 * g
        w = w - 3e-4 * (c.sign() + 0.5 * w)  # a tenth of AdamW's rate
        momentum = 0.99 * momentum + 0.01 * g
    torch.testing.assert_close(linear.weight.detach(), w)


def test_eight_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(ValueError, match="pip install bitsandbytes"):
        made(model(), OptimizerConfig(kind="adamw8bit"))
