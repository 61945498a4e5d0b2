"""What a step costs by shapes, against published figures and against what a real step of our own counts."""

import pytest
import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.build import build_denoiser
from sdmodel.diffusion.cost import CaptionShape, step_cost
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.latents.space import PIXELS, Space
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.text.conditioner import TextConditioner
from sdmodel.train.activations import count_pass
from sdmodel.train.speed import count_rows

LATENTS = Space(4, 8, (0.0,) * 4, (1.0,) * 4)
CLIP = CaptionShape(length=77, width=768)
CAPTIONS = ["a red fox in the snow", "two owls on a branch at night", "bread and cheese"]
SMALL = {
    "unet": TrainConfig(network="unet", size=16, unet=UNetConfig(channels=(8, 16), condition=16, fine=4)),
    "unet2d": TrainConfig(
        network="unet2d",
        size=16,
        unet2d=UNet2DConfig(channels=(8, 16), attention=(True, False), blocks=1, head_width=8, groups=4),
    ),
    "dit": TrainConfig(network="dit", size=16, dit=DiTConfig(width=32, layers=2, heads=2)),
}


@pytest.mark.parametrize("name", SMALL)
def test_flops_and_parameters_are_those_of_the_real_objective(name: str):
    torch.manual_seed(0)
    config = SMALL[name]
    objective = DiffusionObjective(config, CAPTIONS)
    text = objective.modules.text
    assert isinstance(text, TextConditioner)  # no frozen one
    batch = Batch(
        images=torch.zeros(1, 3, 16, 16),
        captions=CAPTIONS[:1],
        uids=["a"],
        index=torch.zeros(1, dtype=torch.int64),
        size=1,
        start=0,
    )
    measured = count_rows(objective, batch).flops  # of one row
    cost = step_cost(config, PIXELS, text, bf16=False)
    assert sum(cost.parameters.values()) == sum(p.numel() for p in objective.modules.parameters())
    assert cost.learned == sum(p.numel() for p in objective.modules.parameters() if p.requires_grad)
    # A real step tells the text encoder what is to be learned of its states, which is not counted here.
    assert cost.flops == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("name", SMALL)
def test_shapes_keep_what_numbers_keep(name: str):
    config, words = SMALL[name], CaptionShape(length=8, width=16)
    network = build_denoiser(config, PIXELS, 16, 16, NoiseSchedule(), padded=False)
    condition = Condition(torch.zeros(1, 16), torch.zeros(1, 8, 16), torch.ones(1, 8, dtype=torch.bool))

    def loss() -> Tensor:
        return network(torch.zeros(1, 3, 16, 16), torch.full((1,), 0.5), condition).square().mean()

    real = count_pass(loss, network, network.heavy)  # pyright: ignore[reportArgumentType] - all have it
    memory = step_cost(config, PIXELS, words, bf16=False).memory
    assert memory.activations.row == pytest.approx(real.saved.row, rel=0.1)
    assert memory.checkpointed.row == pytest.approx(real.checkpointed.row, rel=0.1)


def test_dit_b_of_two_by_two_patches_is_as_large_as_published():
    with_words = step_cost(TrainConfig(network="dit", size=256), LATENTS, CLIP)
    # 23.01 GMACs (Peebles and Xie 2022, table 1) forward, thrice that with its gradient, and attention to 77
    # words: in each of 12 blocks queries and outputs of 256 places, keys and values of 77 words, products.
    words = 12 * (2 * 256 * 768**2 + 2 * 77 * 768**2 + 2 * 256 * 77 * 768)
    assert with_words.flops == pytest.approx(3 * 2 * (23.01e9 + words), rel=0.03)


def test_of_low_rank_changes_the_changes_alone_are_learned():
    base = SMALL["dit"]
    config = TrainConfig(network="dit", size=16, dit=base.dit, start="models/x", lora=LoraConfig(rank=2))
    cost, whole = (step_cost(each, PIXELS, CaptionShape(length=8, width=16)) for each in (config, base))
    assert cost.learned == cost.parameters["network"] - whole.parameters["network"]
    assert cost.memory.gradients == 4 * cost.learned
    assert cost.flops < whole.flops


def test_frozen_text_encoders_have_weights_and_no_gradients():
    config = TrainConfig(
        size=16, text=TextConfig(width=16, heads=2), optimizer=OptimizerConfig(frozen=("text.",))
    )
    cost = step_cost(config, PIXELS, TextConditioner.learn((config.text,), CAPTIONS))
    assert cost.learned == cost.parameters["network"]
    assert cost.memory.weights - cost.memory.gradients == 4 * cost.parameters["text"]
