"""A generator and its discriminator."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import sdmodel
from sdmodel.config.gan import GanConfig
from sdmodel.config.learning import OptimizerConfig, ValidationConfig
from sdmodel.config.limits import ConfigError
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.gan.choice import discriminator_of, generator_of, shares_right
from sdmodel.gan.diff_augment import colour, cutout, diff_augment, translation
from sdmodel.gan.folder import load
from sdmodel.gan.networks import Discriminator, Generator, PixelNorm, gradient_penalty, levels
from sdmodel.gan.objective import GanObjective
from sdmodel.gan.relativistic import relativistic
from sdmodel.gan.residual import ResidualGenerator

OWN = GanConfig(latent=8, channels=4, penalty_every=2)
CONFIG = TrainConfig(objective="gan", size=16, batch=8, gan=OWN)


def objective(config: TrainConfig = CONFIG, seed: int = 0) -> GanObjective:
    torch.manual_seed(seed)
    return GanObjective(config)


def batch(start: int = 0, end: int = 8, images_seen: int = 0) -> Batch:
    pictures = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    names = [str(row) for row in range(start, end)]
    return Batch(
        images=pictures[start:end],
        captions=names,
        uids=names,
        index=torch.arange(start, end),
        size=8,
        start=start,
        images_seen=images_seen,
    )


@pytest.mark.parametrize("network", ["dcgan", "residual"])
@pytest.mark.parametrize("size", [8, 16, 64])
def test_networks_meet_at_every_size(size: int, network: str):
    own = replace(OWN, network=network)
    pictures = generator_of(own, size)(torch.randn(2, 8))
    assert pictures.shape == (2, 3, size, size)
    assert pictures.abs().max() <= 1
    assert discriminator_of(own, size)(pictures).shape == (2,)
    assert levels(size) == {8: 1, 16: 2, 64: 4}[size]


@pytest.mark.parametrize("network", ["dcgan", "residual"])
def test_a_row_is_alone_in_both_networks(network: str):
    made = objective(replace(CONFIG, gan=replace(OWN, network=network))).modules
    z, x = torch.randn(4, 8), batch().images
    torch.testing.assert_close(made.generator(z)[1:2], made.generator(z[1:2]))
    torch.testing.assert_close(made.discriminator(x)[1:2], made.discriminator(x[1:2]))
    normed = PixelNorm()(torch.randn(2, 4, 3, 3))
    torch.testing.assert_close(normed.square().mean(1), torch.ones(2, 3, 3), rtol=1e-4, atol=1e-4)


def test_the_penalty_is_the_squared_gradient_and_has_a_gradient_itself():
    """Of a discriminator that is linear, D(x) = a . x + b, it is |a|^2, and its gradient in a is 2 a."""
    judge = Discriminator(OWN, 16)
    a = torch.nn.Parameter(torch.randn(3 * 16 * 16) / 10)
    judge.forward = lambda images: images.flatten(1) @ a + 1.0  # type: ignore[method-assign]
    penalty = gradient_penalty(judge, batch().images)
    assert penalty.item() == pytest.approx(a.square().sum().item(), rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(a.grad, 2 * a.detach())


def test_it_comes_lazily_and_as_much_in_the_mean():
    made = objective()
    due, not_due = (made.modules(batch(images_seen=seen), "discriminator") for seen in (16, 8))
    squared = gradient_penalty(made.modules.discriminator, batch().images)
    torch.testing.assert_close(due["penalty"], 2 * OWN.penalty / 2 * squared)
    assert not_due["penalty"] == 0
    assert "penalty" not in objective(replace(CONFIG, gan=replace(OWN, penalty=0.0))).modules(
        batch(), "discriminator"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "logistic"},
        {"loss": "hinge"},
        {"loss": "relativistic", "network": "residual", "fake_penalty": 1.0},
    ],
)
def test_every_weight_has_a_gradient_in_its_turn_and_rows_share_one_loss(changes: dict[str, Any]):
    changed = replace(OWN, augment=("colour", "translation", "cutout"), **changes)
    made = objective(replace(CONFIG, gan=changed))
    for player in made.players:
        whole = made.modules(batch(), player.name)
        halves = [made.modules(batch(*rows), player.name) for rows in ((0, 4), (4, 8))]
        for name, value in whole.items():
            torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, value)
        whole[player.name].backward()
        named = dict(made.modules.named_parameters())
        assert [n for n, p in named.items() if n.startswith(player.prefixes) and p.grad is None] == []
        made.modules.zero_grad()


def test_the_relativistic_loss_compares_and_knows_no_zero():
    """softplus(fake - real) of a pair, for either player; both logits moved alike, nothing changes."""
    real, fake = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 2.0])
    closed = (math.log1p(math.exp(-2)) + math.log1p(math.exp(3))) / 2
    assert relativistic(real, fake).item() == pytest.approx(closed)
    assert relativistic(real + 5, fake + 5).item() == pytest.approx(closed)
    assert relativistic(fake, real).item() == pytest.approx(closed + (2 - 3) / 2)  # s(-x) = s(x) - x
    own = replace(OWN, loss="relativistic")
    assert shares_right(own, real, fake) == {"real_over_fake": torch.tensor(0.5)}
    every = shares_right(own, real[:, None], fake)  # 3 over 1 and 2, -1 over none
    assert every == {"real_over_fake": torch.tensor(0.5)}
    modules = objective(replace(CONFIG, gan=own)).modules
    with torch.no_grad():
        modules.discriminator.last.bias.add_(100)
    for player in ("discriminator", "generator"):
        assert modules(batch(), player)[player].item() == pytest.approx(math.log(2), abs=0.1)


def test_generated_pictures_are_penalised_as_real_ones_are():
    made = objective(replace(CONFIG, gan=replace(OWN, penalty=0.0, fake_penalty=3.0))).modules
    losses = made(batch(), "discriminator")
    squared = gradient_penalty(made.discriminator, made.generate(batch(), "discriminator"))
    torch.testing.assert_close(losses["fake_penalty"], 2 * 3.0 / 2 * squared)
    assert "penalty" not in losses


def test_a_style_reaches_every_level():
    """Of one first level and two styles, pictures differ."""
    made = ResidualGenerator(replace(OWN, network="residual"), 16)
    x = torch.randn(1, 8, 4, 4).expand(2, -1, -1, -1)
    style = torch.randn(2, 128)
    for level in made.levels:
        (both, first) = level(x, style), level(x, style[:1].expand(2, -1))
        assert not torch.equal(both[0], both[1])
        torch.testing.assert_close(first[0], first[1])
        x = first


def test_changes_are_those_of_the_draws_and_let_gradients_through():
    images = batch().images.requires_grad_(True)
    middle = torch.full((8, 3), 0.5)
    torch.testing.assert_close(colour(images, middle), images)  # none
    torch.testing.assert_close(translation(images, middle), images)
    moved = translation(images, torch.tensor([[0.0, 0.999, 0.0]]).expand(8, 3))  # up to two pixels
    torch.testing.assert_close(moved[:, :, 2:, :-2], images[:, :, :-2, 2:])
    assert moved[:, :, :2].abs().sum() == moved[:, :, :, -2:].abs().sum() == 0
    hole = cutout(images, middle)
    assert (hole == 0).sum() == 8 * 3 * 8 * 8
    torch.testing.assert_close(hole[:, :, 0], images[:, :, 0])
    (gradient,) = torch.autograd.grad(hole.sum(), images)
    torch.testing.assert_close(gradient, (hole != 0).float())
    kinds = ("colour", "translation", "cutout")
    changed = diff_augment(images, kinds, batch(), "real")
    assert torch.equal(changed, diff_augment(images, kinds, batch(), "real"))
    assert not torch.equal(changed, diff_augment(images, kinds, batch(), "fake"))
    torch.testing.assert_close(diff_augment(images[2:4], kinds, batch(2, 4), "real"), changed[2:4])


def test_a_picture_is_of_its_seed_alone_and_the_folder_draws_it_too(tmp_path: Path):
    made = objective()
    weights = {name: value.clone().contiguous() for name, value in made.modules.state_dict().items()}
    made.save(tmp_path, weights)
    drawn = made.sample(["", "a", "b"], [3, 5, 3])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    torch.testing.assert_close(load(tmp_path).sample([""], [5]), drawn[1:2])
    loaded = sdmodel.load(tmp_path)
    assert isinstance(loaded, Generator)
    assert torch.equal(loaded.first.weight, weights["generator.first.weight"])
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    other = objective(seed=1)
    other.start(tmp_path)
    assert all(torch.equal(value, weights[name]) for name, value in other.modules.state_dict().items())
    with pytest.raises(ValueError, match=r"'latent': 8.*'latent': 4"):
        objective(replace(CONFIG, gan=replace(OWN, latent=4))).start(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"kind": "selfsupervised"}))
    with pytest.raises(ValueError, match="no model of kind 'gan'"):
        load(tmp_path)


def test_validation_tells_how_sure_the_discriminator_is():
    errors = objective().errors(batch())
    assert errors["discriminator"].item() > 0
    assert errors["real_as_real"][1] == errors["fake_as_fake"][1] == 8
    assert 0 <= errors["real_as_real"][0] <= 8


def test_players_learn_by_the_config_s_rate_and_their_betas():
    optimizer = OptimizerConfig(adam_rate=1e-3)
    config = replace(CONFIG, optimizer=optimizer, gan=replace(OWN, discriminator_rate=2.0, beta1=0.5))
    judge, forger = (player.adam for player in objective(config).players)
    assert judge is not None
    assert forger is not None
    assert (judge.rate, forger.rate, judge.betas) == (2e-3, 1e-3, (0.5, 0.99))
    assert CONFIG.learning.kind == "adamw"
    assert CONFIG.learning.adam_rate == 2e-4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": 24}, "8, 16, 32"),
        ({"size": 4}, "8, 16, 32"),
        ({"sizes": ((8, 75_000), (16, 75_000))}, "leave sizes out"),
        ({"optimizer": OptimizerConfig(kind="muon")}, "AdamW alone"),
        ({"validation": ValidationConfig(every=8, patience=1)}, "leave patience out"),
        ({"fsdp": True}, "another player's turn"),
    ],
)
def test_what_it_cannot_is_refused(changed: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        replace(CONFIG, **changed)


def test_latents_are_refused():
    with pytest.raises(ValueError, match="train it without encode"):
        objective().modules(replace(batch(), images=torch.zeros(8, 8, 2, 2)), "generator")
