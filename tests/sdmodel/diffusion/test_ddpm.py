"""A DDPM from nothing, as Ho et al. 2020 and Nichol and Dhariwal 2021 teach it, draws what captions say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.diffusion.generate import load
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.train.optim.optimizers import optimizers
from tests.sdmodel.diffusion.test_objective import CAPTIONS, COLOURS, CONFIG, batch, loss, saved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "steps"), [("linear", 240), pytest.param("cosine", 500, marks=pytest.mark.matrix)]
)
def test_ancestral_samples_have_their_captions_colours(schedule: Any, steps: int, tmp_path: Path):
    """The noise's error counts little where only a caption could tell the colour; less so under the cosine
    schedule, which takes longer."""
    torch.manual_seed(0)
    config = replace(
        CONFIG,
        caption_dropout=0.1,
        noise=NoiseConfig(schedule=schedule, prediction="epsilon"),
        sampling=SamplingConfig(sampler="ddpm", steps=30, guidance=3.0),
    )
    made = DiffusionObjective(config, CAPTIONS * 4)
    rates = OptimizerConfig(kind="muon", muon_rate=0.02, adam_rate=0.01)
    both = optimizers(made.modules, rates.optimization(32))
    groups = [(group, group["lr"]) for optimizer in both for group in optimizer.param_groups]
    for step in range(steps):
        for group, rate in groups:
            group["lr"] = rate * (1 - step / steps)
        made.modules.zero_grad()
        loss(made, batch(32), seed=step).backward()
        for optimizer in both:
            optimizer.step()
    model = load(saved(made, tmp_path / "model"))
    assert model.model.sampling.sampler == "ddpm"
    images = model.sample(CAPTIONS * 4, list(range(8)))
    assert (images.mean((2, 3)) - COLOURS.repeat(4, 1)).abs().max() < 0.3
    assert images.std((2, 3)).max() < 0.3
