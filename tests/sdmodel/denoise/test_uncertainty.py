"""Errors weighed by an uncertainty that is learned for each noise level."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.denoise.uncertainty import Uncertainty
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.train.optim.optimizers import optimizers
from tests.sdmodel.golden.tiny import CONFIG as TINY
from tests.sdmodel.gradients import CAPTIONS, batch, made

CONFIG = replace(TINY, noise=NoiseConfig(prediction="velocity", loss="learned"))


def test_it_learns_the_errors_logarithm_at_every_noise_level():
    """Where error / exp(u) + u is least, exp(u) is the mean error (Karras et al. 2023, equation 15)."""
    t = torch.linspace(0.02, 0.98, 64)
    error = (0.01 + (1 - t) ** 2).view(-1, 1, 1, 1)  # from 1 to 0.01
    learned = Uncertainty()
    assert torch.equal(learned(error, t), error)  # at first it weighs all alike
    optimizer = torch.optim.Adam(learned.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        learned(error, t).mean().backward()
        optimizer.step()
    weight = learned(error, t) - learned(torch.zeros_like(error), t)
    torch.testing.assert_close(weight, torch.ones_like(weight), rtol=0, atol=0.1)


def test_the_plain_error_is_reported_and_the_weighed_one_is_learned():
    objective, rows = made(CONFIG), batch(CONFIG)
    objective.modules.eval()
    losses = objective.modules(rows)
    plain = made(replace(CONFIG, noise=NoiseConfig(prediction="velocity", loss="v")))
    plain.modules.load_state_dict(objective.modules.state_dict(), strict=False)
    torch.testing.assert_close(losses["denoising"], plain.modules.eval()(rows)["denoising"])
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    shift = objective.modules.get_parameter("uncertainty.bias")
    before, before_gradient = total.item(), shift.grad
    assert before_gradient is not None
    with torch.no_grad():
        shift += 1e-2
    after = sum(loss.item() for loss in objective.modules(rows).values())
    torch.testing.assert_close((after - before) / 1e-2, before_gradient.item(), rtol=0.05, atol=0.01)


def test_adamw_learns_it_and_no_model_folder_has_it(tmp_path: Path):
    objective = made(CONFIG)
    adamw = optimizers(objective.modules, OptimizerConfig(kind="muon").optimization(4))[-1]
    inside = {id(p) for group in adamw.param_groups for p in group["params"]}
    mine = [p for name, p in objective.modules.named_parameters() if name.startswith("uncertainty.")]
    assert mine
    assert all(id(p) in inside for p in mine)

    state = objective.modules.state_dict()
    weights = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    objective.save(tmp_path, weights)
    saved = load_file(tmp_path / "model.safetensors")
    assert not [name for name in saved if "uncertainty" in name]
    again = DiffusionObjective(CONFIG, CAPTIONS)
    again.start(tmp_path)
    assert not again.modules.get_parameter("uncertainty.weight").any()
