"""The autoencoder's losses beside pixels, and what usually goes wrong where a discriminator judges it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL

from sdmodel.autoencoder.objective import ADVERSARY, AutoencoderObjective
from sdmodel.config.adversary import PatchAdversaryConfig
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.limits import ConfigError
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.step import TrainStep
from tests.sdmodel.autoencoder.test_objective import batch, saved
from tests.sdmodel.autoencoder.test_perceptual import image_encoder

PATCH = PatchAdversaryConfig(weight=0.5, channels=8, layers=2)
OWN = AutoencoderConfig(channels=(8, 16), latent=2, groups=4)
CONFIG = TrainConfig(objective="autoencoder", size=16, batch=8, autoencoder=replace(OWN, adversary=PATCH))


def objective(own: AutoencoderConfig = CONFIG.autoencoder, **options: Any) -> AutoencoderObjective:
    torch.manual_seed(0)
    config = replace(CONFIG, autoencoder=own, **dict.fromkeys(options, "models/e"))
    return AutoencoderObjective(config, **options)


def stepping(made: AutoencoderObjective) -> TrainStep:
    opts = optimizers(made.modules, made.config.learning, made.players)
    step = TrainStep(made, Accelerator(cpu=True), made.config, opts, parts=1)
    step.set_rate(1.0)
    return step


def seen(images: int) -> Batch:
    return replace(batch(), images_seen=images)


def test_the_discriminator_s_turn_leaves_no_gradient_in_the_autoencoder_and_the_other_way_round():
    """On the same pictures: both turns are of one batch."""
    made = objective()
    step = stepping(made)
    own, judge = step.turns
    for turn, mine, others in ((own, "vae.", "discriminator."), (judge, "discriminator.", "vae.")):
        step.gradients(batch(), 0, turn)
        named = dict(made.modules.named_parameters())
        assert [name for name, p in named.items() if name.startswith(others) and p.grad is not None] == []
        assert [name for name, p in named.items() if name.startswith(mine) and p.grad is None] == []
        step.zero_grad()


def test_the_adversary_s_gradient_goes_through_the_discriminator_by_the_ratio():
    """Of both losses' gradients at the last layer, times the weight."""
    made = objective()
    losses = made.modules(batch(), "autoencoder")
    layer = made.modules.vae.decoder.conv_out.weight
    norms = {
        name: torch.autograd.grad(losses[name], layer, retain_graph=True)[0].norm()
        for name in ("reconstruction", "adversary")
    }
    assert (norms["adversary"] / norms["reconstruction"]).item() == pytest.approx(PATCH.weight, rel=1e-3)
    assert losses["metric/adversary_weight"].isfinite()
    assert losses["metric/adversary_weight"].dtype == torch.float32


def test_before_it_begins_the_discriminator_neither_learns_nor_counts():
    made = objective(replace(OWN, adversary=replace(PATCH, begins=64)))
    step = stepping(made)
    before = {name: p.detach().clone() for name, p in made.modules.discriminator.named_parameters()}
    early = step.take(seen(56), 56, lambda norm, images, turn: False)
    assert early is not None
    assert set(early[0]) == {"reconstruction", "kl"}  # no adaptive weight either
    after = dict(made.modules.discriminator.named_parameters())
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    late = step.take(seen(64), 64, lambda norm, images, turn: False)
    assert late is not None
    assert {"adversary", "discriminator", "metric/real_as_real", "metric/adversary_weight"} <= set(late[0])
    assert not torch.equal(before["layers.0.weight"], made.modules.discriminator.layers[0].weight)


def test_statistics_of_latents_take_a_batch_in_once():
    made = objective()
    stepping(made).take(batch(), 0, lambda norm, images, turn: False)
    assert made.modules.seen == 8


def test_the_perceptual_loss_has_a_gradient_in_the_decoder_and_its_encoder_is_no_part(tmp_path: Path):
    own = replace(OWN, perceptual=1.0)
    made = objective(own, encoder=image_encoder(tmp_path / "encoder"))
    plain = objective(OWN)
    assert set(made.modules.state_dict()) == set(plain.modules.state_dict())
    losses = made.modules(batch())
    layer = made.modules.vae.decoder.conv_out.weight
    (gradient,) = torch.autograd.grad(losses["perceptual"], layer)
    assert gradient.norm() > 1e-4
    assert losses["perceptual"].item() > 0


def test_deviations_are_learned_in_the_optimizer_averaged_and_in_float32():
    """The error is least, whatever it is, where s is its logarithm."""
    made = objective(replace(OWN, log_variance=True))
    s = made.modules.log_variance
    assert s is not None
    learned = {
        p
        for opt in optimizers(made.modules, made.config.learning)
        for g in opt.param_groups
        for p in g["params"]
    }
    assert s in learned
    losses = made.modules(batch())
    error = losses["reconstruction"].item()
    torch.stack(list(losses.values())).sum().backward()
    assert s.grad is not None
    assert s.grad.item() == pytest.approx(1 - error, rel=1e-4)  # d/ds of e / exp(s) + s at 0
    assert not losses["reconstruction"].requires_grad
    assert made.modules.vae.decoder.conv_out.weight.grad.norm() > 0
    assert {p.dtype for p in made.modules.parameters()} == {torch.float32}


def test_a_plain_autoencoder_draws_nothing_and_its_folder_says_so(tmp_path: Path):
    made = objective(replace(OWN, draw=False, kl=0.0, reconstruction="l2"))
    one, two = (made.modules(replace(batch(), seed=seed)) for seed in (1, 2))
    assert torch.equal(one["reconstruction"], two["reconstruction"])
    made.modules.eval()
    with torch.no_grad():
        mean = made.modules.posterior(batch().images)[0]
        back = made.modules.decode(mean)
    squared = (back - batch().images).square().mean()
    torch.testing.assert_close(one["reconstruction"].detach(), squared, rtol=1e-4, atol=1e-6)
    vae: Any = AutoencoderKL.from_pretrained(saved(made, tmp_path / "model"), local_files_only=True)
    posterior = vae.encode(batch().images).latent_dist
    torch.testing.assert_close(posterior.sample(), mean, rtol=1e-4, atol=1e-5)


def test_the_discriminator_is_published_beside_a_stock_autoencoder(tmp_path: Path):
    made = objective()
    folder = saved(made, tmp_path / "model")
    AutoencoderKL.from_pretrained(folder, local_files_only=True)
    torch.manual_seed(1)
    other = AutoencoderObjective(CONFIG)
    other.start(folder)
    for name, value in made.modules.discriminator.state_dict().items():
        assert torch.equal(other.modules.discriminator.state_dict()[name], value)
    wide = replace(OWN, adversary=replace(PATCH, channels=16))
    with pytest.raises(ValueError, match="a discriminator of another shape"):
        objective(wide).start(folder)
    (folder / ADVERSARY).unlink()
    other.start(folder)


@pytest.mark.parametrize(
    ("own", "changed", "words"),
    [
        ({"perceptual": 1.0}, {}, "name what sees pictures"),
        ({"perceptual": 1.0, "lpips": "w"}, {"encoder": "models/e"}, "name one alone"),
        ({}, {"encoder": "models/e"}, "nothing would see pictures by this encoder"),
        ({"adversary": replace(PATCH, layers=3)}, {}, "take fewer layers, or pictures of 24"),
        ({"adversary": PATCH}, {"fsdp": True}, "another player's turn"),
        ({"adversary": PATCH}, {"accumulate": 2}, "cannot be taken in parts"),
        ({"perceptual": 1.0, "lpips": "w"}, {"size": 8}, "16 pixels and more"),
    ],
)
def test_what_cannot_train_is_refused(own: dict[str, Any], changed: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        replace(CONFIG, autoencoder=replace(OWN, **own), **changed)


@pytest.mark.parametrize("own", [{"draw": False}, {"lpips": "w"}])
def test_losses_of_nothing_are_refused(own: dict[str, Any]):
    with pytest.raises(ConfigError, match="nothing"):
        replace(OWN, **own)
