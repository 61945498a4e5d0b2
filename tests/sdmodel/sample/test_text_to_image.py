"""Captions to pictures with every sampler: each picture is of its caption and its seed alone."""

from dataclasses import replace

import pytest
import torch

from sdmodel.condition import Condition
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import OURS, SamplerName, SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion import generate
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.model import Diffusion
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.noise.process import ForwardProcess
from sdmodel.text.unread import UnreadCaptions

CONFIG = TrainConfig(
    size=8,
    network="dit",
    dit=DiTConfig(width=16, layers=1, heads=2, patch=4),
    text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
    sampling=SamplingConfig(steps=3),
)
CAPTIONS = ["a red half", "a blue half", "a red half"]
SEEDS = [1, 2, 3]
SAMPLERS: tuple[SamplerName, ...] = ("euler", "heun", "dpm++2m", "ddim", "ddpm")


def model(config: TrainConfig = CONFIG, seed: int = 0) -> TextToImage:
    """Of random weights, none of them zero."""
    torch.manual_seed(seed)
    made = DiffusionObjective(config, CAPTIONS * 4)
    for parameter in made.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return TextToImage(made.modules)


@pytest.fixture(scope="module")
def dit() -> TextToImage:
    return model()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_is_of_its_caption_and_seed_whatever_the_chunk(
    dit: TextToImage, sampler: SamplerName, monkeypatch: pytest.MonkeyPatch
):
    sampling = SamplingConfig(sampler=sampler)
    reports: list[tuple[int, int]] = []
    together = dit.sample(CAPTIONS, SEEDS, sampling, lambda done, total: reports.append((done, total)))
    assert reports[-1] == (3, 3)
    monkeypatch.setattr(generate, "CHUNK", 2)
    torch.testing.assert_close(dit.sample(CAPTIONS, SEEDS, sampling), together)
    torch.testing.assert_close(dit.sample(CAPTIONS[1:], SEEDS[1:], sampling), together[1:])
    assert not torch.allclose(dit.sample(CAPTIONS[:1], [7], sampling), together[:1], atol=1e-2)


def test_samplers_of_a_model_agree_where_steps_are_many(dit: TextToImage):
    calm = TextToImage(model(seed=3).model)
    for parameter in calm.model.network.parameters():
        parameter.mul_(0.3)
    ends = {
        name: calm.sample(CAPTIONS, SEEDS, SamplingConfig(sampler=name, steps=80))
        for name in ("euler", "heun", "dpm++2m", "ddim")
    }
    for name, end in ends.items():
        torch.testing.assert_close(end, ends["dpm++2m"], atol=0.03, rtol=0, msg=name)
    assert torch.equal(ends["euler"], ends["ddim"])


@pytest.mark.parametrize("prediction", ["epsilon", "v", "velocity"])
def test_models_of_each_prediction_draw(prediction: str):
    noise = NoiseConfig(prediction=prediction)  # pyright: ignore[reportArgumentType]
    drawn = model(replace(CONFIG, noise=noise)).sample(CAPTIONS, SEEDS)
    assert drawn.isfinite().all()


def test_a_model_with_timesteps_draws_by_diffusers_schedulers():
    noise = NoiseConfig(schedule="linear", prediction="epsilon")
    small = UNet2DConfig(channels=(8, 8), attention=(False, True), blocks=1, head_width=4, groups=4)
    made = model(replace(CONFIG, network="unet2d", unet2d=small, noise=noise))
    assert made.model.sampling.guidance == 7.5
    for sampler in SAMPLERS:
        sampling = SamplingConfig(
            sampler=sampler, steps=4, guidance=1.5
        )  # random weights magnify what rounds
        drawn = made.sample(CAPTIONS[:2], SEEDS[:2], sampling)
        again = made.sample(CAPTIONS[1:2], SEEDS[1:2], sampling)
        torch.testing.assert_close(again, drawn[1:], atol=1e-3, rtol=0)
        assert not torch.allclose(drawn[0], drawn[1], atol=0.1)


def test_what_is_not_chosen_is_the_models(dit: TextToImage):
    assert dit.model.sampling == replace(OURS, steps=3)
    same = dit.sample(CAPTIONS, SEEDS, SamplingConfig(steps=3, guidance=OURS.guidance))
    assert torch.equal(same, dit.sample(CAPTIONS, SEEDS))
    for other in (
        SamplingConfig(guidance=1.0),
        SamplingConfig(steps=4),
        SamplingConfig(interval=(0.0, 1.0)),
        SamplingConfig(rescale=0.7),
        SamplingConfig(negative="a blue half"),
    ):
        assert not torch.equal(dit.sample(CAPTIONS, SEEDS, other), same), other


def test_the_shift_of_training_is_that_of_sampling():
    shifted = NoiseConfig(shift=3.0)
    base, moved = model(), model(replace(CONFIG, noise=shifted))
    assert not torch.equal(base.sample(CAPTIONS, SEEDS), moved.sample(CAPTIONS, SEEDS))
    by_size = model(replace(CONFIG, noise=NoiseConfig(shift_tokens=64)))
    assert torch.equal(base.sample(CAPTIONS, SEEDS), by_size.sample(CAPTIONS, SEEDS))
    ends = [made.sample(CAPTIONS, SEEDS, size=(16, 16)) for made in (base, by_size)]
    assert not torch.equal(*ends)


class Recorder(torch.nn.Module):
    """A network that predicts zeros and says of how many rows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.rows: list[int] = []

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, condition: Condition) -> torch.Tensor:
        self.rows.append(len(x_t))
        return torch.zeros_like(x_t)


def test_a_model_that_reads_no_captions_is_not_guided_by_them():
    network = Recorder()
    process = ForwardProcess.of_config(CONFIG.noise)
    made = TextToImage(Diffusion(CONFIG, UnreadCaptions(), network, process))
    drawn = made.sample(["", ""], [0, 1], SamplingConfig(steps=4, guidance=7.5, interval=(0.0, 1.0)))
    assert network.rows == [2] * 4
    assert (drawn == 0).all()


def test_autoguidance_leads_away_from_a_weak_model(dit: TextToImage):
    plain = dit.sample(CAPTIONS, SEEDS, SamplingConfig(guidance=1.0))
    # From itself it leads nowhere.
    torch.testing.assert_close(dit.sample(CAPTIONS, SEEDS, weak=dit), plain)
    weak = model(seed=1)
    assert not torch.allclose(dit.sample(CAPTIONS, SEEDS, weak=weak), plain, atol=1e-2)
    # Scale 0 is the weak model alone.
    everywhere = SamplingConfig(guidance=0.0, interval=(0.0, 1.0))
    alone = weak.sample(CAPTIONS, SEEDS, SamplingConfig(guidance=1.0))
    torch.testing.assert_close(dit.sample(CAPTIONS, SEEDS, everywhere, weak=weak), alone)


def test_a_weak_model_of_another_kind_is_refused(dit: TextToImage):
    other = model(replace(CONFIG, noise=NoiseConfig(prediction="v")))
    with pytest.raises(ValueError, match="same space, noise schedule and prediction"):
        dit.sample(CAPTIONS, SEEDS, weak=other)
    with pytest.raises(ValueError, match=r"negative='blurred': autoguidance"):
        dit.sample(CAPTIONS, SEEDS, SamplingConfig(negative="blurred"), weak=dit)


@pytest.mark.parametrize(("size", "words"), [((8, 10), "10x8"), ((0, 8), "8x0"), ((-4, 8), "8x-4")])
def test_sizes_that_do_not_fit_are_refused(dit: TextToImage, size: tuple[int, int], words: str):
    with pytest.raises(
        ValueError, match=rf"{words} pixels, .*: this model draws sides that are multiples of 4"
    ):
        dit.sample(CAPTIONS, SEEDS, size=size)


def test_sizes_that_training_did_not_see(dit: TextToImage):
    assert dit.sample([], []).shape == (0, 3, 8, 8)
    unet = model(
        replace(CONFIG, network="unet", unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4))
    )
    for one in (dit, unet):
        for size in ((8, 8), (12, 8), (4, 64)):
            pictures = one.sample(CAPTIONS, SEEDS, size=size)
            assert pictures.shape == (3, 3, *size)
            assert pictures.isfinite().all()
    with pytest.raises(ValueError, match=r"8x14 pixels, .* sides that are multiples of 4"):
        unet.sample(CAPTIONS, SEEDS, size=(14, 8))
