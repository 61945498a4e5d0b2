"""Pictures as a condition of a model that starts from a pipeline, which was taught none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sdmodel.config.learning import LoraConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.generate import TextToImage, load
from sdmodel.diffusion.objective import DiffusionObjective
from tests import frozen
from tests.sdmodel.conditions.test_picture import batch, config, picture_of, saved


@pytest.mark.parametrize("join", ["token", "channels"])
def test_a_pipeline_learns_to_see_pictures(image_encoder: Path, tmp_path: Path, join: Any):
    """Whatever width the captions have that it reads; what was learned loads, and is gone on with."""
    pipeline = frozen.pipeline(tmp_path / "pipeline", latent=False)  # its captions are of 8 channels
    text = TextConfig(width=16, heads=1, length=8)
    of = config("reference", join, network="unet2d", size=16, start=str(pipeline), text=text)

    def starting(folder: Path, of: TrainConfig = of) -> DiffusionObjective:
        objective = DiffusionObjective(of, ["a red"], encoder=image_encoder, starting=True)
        objective.start(folder)
        return objective

    objective = starting(pipeline)
    images = torch.linspace(-1, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16)
    model, times = objective.modules, torch.tensor([0.3, 0.6])
    shown = model.known({"picture": [-images[0], None]}, 2)
    before, after = (
        model.predict(images, times, model.encode_captions(["a"] * 2, given=given)) for given in ({}, shown)
    )
    assert torch.equal(before, after) == (join == "channels")
    torch.stack(list(model(batch(images)).values())).sum().backward()
    network: Any = model.network
    seeing = network.unet.conv_in.weight.grad[:, 3:] if join == "channels" else None
    token: Any = picture_of(model).token if join == "token" else None
    assert (token.weight.grad if seeing is None else seeing).abs().sum() > 0
    folder = saved(objective, tmp_path / "model")
    drawn = load(folder).sample(["a"], [1], pictures=images[:1])
    assert torch.equal(TextToImage(starting(folder).modules).sample(["a"], [1], pictures=images[:1]), drawn)
    low_rank = replace(of, lora=LoraConfig(rank=2))
    with pytest.raises(ValueError, match=r"'picture'. cannot be added by low-rank changes"):
        starting(pipeline, low_rank)
