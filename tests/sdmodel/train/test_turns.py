"""Two players, each in turns of its own."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sdmodel.config.learning import GuardConfig, OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.stream import Stream
from sdmodel.losses import metrics
from sdmodel.players import Adam, Player
from sdmodel.train.fsdp import check_modules
from sdmodel.train.loop import train
from sdmodel.train.optim.optimizers import optimizers
from sdmodel.train.step import TrainStep
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import CONFIG, ToyObjective

FORGER, CRITIC = "forger", "critic"
ADAM = Adam(rate=0.01, betas=(0.5, 0.9))
PLAYERS = (
    Player(name=CRITIC, prefixes=("critic.",), adam=ADAM),
    Player(name=FORGER, prefixes=("forger.",)),
)


class Forgery(nn.Module):
    """A forger paints one number into all pixels; a critic tells it from pictures."""

    def __init__(self, broken: int = -1):
        """broken: images after which the forger's turn has no finite loss."""
        super().__init__()
        self.forger, self.critic = nn.Linear(4, 3), nn.Linear(3, 1)
        self.broken = broken
        self.register_buffer("turns", torch.zeros(()))

    def forward(self, batch: Batch, player: str) -> dict[str, Tensor]:
        self.turns += 1
        fake = self.forger(batch.normal("latent", 4))
        if player == FORGER:
            factor = float("nan") if batch.images_seen == self.broken else 1.0
            return {"fooling": -factor * self.critic(fake).mean()}
        real = self.critic(batch.images.mean((2, 3)))
        told = self.critic(fake.detach())
        return {
            "telling": (1 - real).relu().mean() + (1 + told).relu().mean(),
            **metrics({"accuracy": (real > 0).float().mean()}),
        }


@dataclass
class ForgeryObjective(ToyObjective):
    modules: Any = field(default_factory=Forgery)
    players: Any = PLAYERS

    @property
    def heavy(self) -> list[nn.Module]:
        return []


def made(config: TrainConfig = CONFIG, players: Any = PLAYERS, **options: Any) -> ForgeryObjective:
    torch.manual_seed(config.seed)
    return ForgeryObjective(Forgery(**options), players=players)


def batch(rows: int = 8) -> Batch:
    images = torch.rand(rows, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    names = [str(row) for row in range(rows)]
    return Batch(images=images, captions=names, uids=names, index=torch.arange(rows), size=rows, start=0)


def run(dataset: Any, folder: Path, config: TrainConfig, objective: ForgeryObjective, **options: Any):
    """(averaged weights, rows of metrics, warnings)"""
    pictures = decode_all(read_index(dataset.index, dataset.tars, "train"), 8)
    messages: list[dict[str, Any]] = []
    folder.mkdir()
    stream = Stream(pictures, batch=config.batch, seed=config.seed)
    weights = train(objective, stream, config, Accelerator(cpu=True), folder, messages.append, **options)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return weights, rows, [message["warning"] for message in messages if "warning" in message]


def test_in_a_turn_the_other_player_has_no_gradient_and_stands_still():
    """A discriminator's step without detaching leaves gradients in the generator; a generator's step without
    its discriminator frozen leaves them in that."""
    objective = made()
    modules = objective.modules
    step = TrainStep(
        objective,
        Accelerator(cpu=True),
        replace(CONFIG, optimizer=OptimizerConfig(clip=0.1)),
        optimizers(modules, CONFIG.learning, PLAYERS),
        parts=1,
    )
    step.set_rate(1.0)
    for turn, (mine, other) in zip(
        step.turns, ((modules.critic, modules.forger), (modules.forger, modules.critic)), strict=True
    ):
        before = [p.detach().clone() for p in other.parameters()]
        _, norm = step.gradients(batch(), 0, turn)
        assert all(p.grad is None for p in other.parameters())
        gradients = [p.grad for p in mine.parameters() if p.grad is not None]
        assert len(gradients) == 2
        clipped = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        assert clipped == pytest.approx(min(float(norm), 0.1), rel=1e-4)  # its own gradient's alone
        moved = [p.detach().clone() for p in mine.parameters()]
        step.optimize(turn)
        assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(moved, mine.parameters(), strict=True))
    assert all(p.requires_grad for p in modules.parameters())


def test_a_player_learns_by_an_adam_of_its_own():
    critic, *forger = optimizers(made().modules, CONFIG.learning, PLAYERS)
    assert critic.param_groups[0]["betas"] == ADAM.betas
    assert critic.param_groups[0]["lr"] == ADAM.rate
    assert {group["lr"] for own in forger for group in own.param_groups} == {
        CONFIG.learning.muon_rate,
        CONFIG.learning.adam_rate,
    }


def test_metrics_are_reported_and_not_minimised(dataset, tmp_path: Path):
    config = replace(CONFIG, images=24)
    _, rows, _ = run(dataset, tmp_path / "run", config, made())
    for row in rows:
        assert row["loss"] == pytest.approx(row["telling"] + row["fooling"])
        assert 0 <= row["accuracy"] <= 1


def test_a_batch_in_parts_learns_as_the_whole(dataset, tmp_path: Path):
    config = replace(CONFIG, images=64)
    whole, *_ = run(dataset, tmp_path / "whole", config, made())
    parts, *_ = run(dataset, tmp_path / "parts", replace(config, accumulate=4), made())
    for name in ("forger.weight", "critic.weight"):
        torch.testing.assert_close(parts[name], whole[name], atol=2e-5, rtol=1e-4)


def test_a_batch_that_is_bad_in_a_later_turn_is_left_out_of_all(dataset, tmp_path: Path):
    """The first player has made its step by then: weights, momenta and running statistics are put back."""
    skips = GuardConfig(on_bad="skip")
    config = replace(CONFIG, images=48, guard=skips, checkpoint_every=8)
    spoilt = made(broken=40)
    weights, _, warnings = run(dataset, tmp_path / "spoilt", config, spoilt)
    assert ["after 40 images" in warning for warning in warnings] == [True]
    assert spoilt.modules.turns == 10
    short = made()
    expected, *_ = run(dataset, tmp_path / "short", replace(config, images=40), short)
    for name, value in short.modules.state_dict().items():
        if name.endswith("weight"):  # rates fall to 0 at the end of each: the last step differs, not the bits
            torch.testing.assert_close(spoilt.modules.state_dict()[name], value, atol=0.02, rtol=0)
    assert weights.keys() == expected.keys()


def test_what_is_put_back_is_what_was():
    objective = made()
    config = replace(CONFIG, guard=GuardConfig(on_bad="skip"))
    opts = optimizers(objective.modules, CONFIG.learning, PLAYERS)
    step = TrainStep(objective, Accelerator(cpu=True), config, opts, parts=1)
    step.set_rate(1.0)
    assert step.take(batch(), 0, lambda norm, images, turn: False)
    weights = {name: value.clone() for name, value in objective.modules.state_dict().items()}
    momenta = [{k: v.clone() for k, v in state.items()} for opt in opts for state in opt.state.values()]
    assert step.take(batch(), 8, lambda norm, images, turn: turn == 1) is None
    assert all(torch.equal(value, weights[name]) for name, value in objective.modules.state_dict().items())
    after = [state for opt in opts for state in opt.state.values()]
    assert len(momenta) == len(after) == 4
    for then, now in zip(momenta, after, strict=True):
        assert all(torch.equal(value, now[name]) for name, value in then.items())
    assert all(p.grad is None for p in objective.modules.parameters())


def test_a_player_may_begin_later(dataset, tmp_path: Path):
    """Until then it stands still, and afterwards its mean is over its own steps."""
    players = (PLAYERS[1], replace(PLAYERS[0], begins=24))
    objective = made(players=players)
    before = objective.modules.critic.weight.detach().clone()
    config = replace(CONFIG, images=24, checkpoint_every=16)
    run(dataset, tmp_path / "first", config, objective)
    assert torch.equal(objective.modules.critic.weight, before)
    later = replace(config, images=6400, checkpoint_every=6400)  # a report is of 4 batches
    turns = iter(range(9))
    _, (row,), _ = run(
        dataset, tmp_path / "later", later, made(players=players), stopping=lambda: next(turns) == 4
    )
    assert row["images"] == 32
    assert row["telling"] > 0.5  # of one step of the four; their mean would be a fourth of it


def test_a_player_that_is_frozen_has_no_turn(dataset, tmp_path: Path):
    frozen = OptimizerConfig(frozen=("critic.",))
    objective = made()
    before = objective.modules.critic.weight.detach().clone()
    _, rows, _ = run(dataset, tmp_path / "run", replace(CONFIG, images=16, optimizer=frozen), objective)
    assert torch.equal(objective.modules.critic.weight, before)
    assert all("fooling" in row and "telling" not in row for row in rows)


def test_weights_in_parts_are_refused():
    class Two(Accelerator):
        num_processes = property(lambda self: 2)  # type: ignore[assignment]

    with pytest.raises(ValueError, match="another player's turn; set fsdp=false"):
        check_modules(made(), replace(CONFIG, fsdp=True), Two(cpu=True))
