from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.selfsupervised.encoder import load
from sdmodel.selfsupervised.objective import SelfSupervisedObjective

CONFIG = TrainConfig(
    objective="selfsupervised",
    batch=8,
    size=16,
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
)


def objective(config: TrainConfig = CONFIG, seed: int = 0) -> SelfSupervisedObjective:
    torch.manual_seed(seed)
    return SelfSupervisedObjective(config)


def batch(rows: int = 8) -> Batch:
    coarse = torch.rand(rows, 3, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    names = [str(row) for row in range(rows)]
    images = F.interpolate(coarse, size=16, mode="bilinear")
    return Batch(images=images, captions=names, uids=names, index=torch.arange(rows), size=rows, start=0)


def loss(made: SelfSupervisedObjective, rows: Batch, seed: int = 0) -> torch.Tensor:
    return made.modules(replace(rows, seed=seed))["selfsupervised"]


def saved(made: SelfSupervisedObjective, folder: Path) -> Path:
    folder.mkdir()
    made.save(folder, {name: value.clone().contiguous() for name, value in made.modules.state_dict().items()})
    return folder


def test_pictures_are_told_apart():
    pale = replace(CONFIG.selfsupervised, colour=0.1)
    made, rows = objective(replace(CONFIG, selfsupervised=pale)), batch()
    before = sum(loss(made, rows, seed).item() for seed in range(4)) / 4
    optimizer = torch.optim.AdamW(made.modules.parameters(), 5e-3)
    for step in range(60):
        loss(made, rows, 100 + step).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert sum(loss(made, rows, seed).item() for seed in range(4)) / 4 < 0.85 * before


def test_features_depend_on_the_picture_alone():
    encoder, images = objective().modules.encoder, batch().images
    torch.testing.assert_close(encoder(images)[2:3], encoder(images[2:3]))  # in training, too
    assert encoder(images).shape == (8, 32 * 4)
    assert encoder(torch.zeros(1, 3, 24, 40)).shape == (1, 32 * 4)


def test_a_folder_holds_the_encoder_and_what_a_training_starts_from(tmp_path: Path):
    made = objective()
    folder = saved(made, tmp_path / "model")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    other = objective(seed=1)
    other.start(folder)
    torch.testing.assert_close(loss(other, batch()), loss(made, batch()))
    wide = replace(CONFIG, selfsupervised=replace(CONFIG.selfsupervised, embedding=16))
    with pytest.raises(ValueError, match="'embedding': 8"):
        objective(wide).start(folder)
    with pytest.raises(ValueError, match="holds no model of kind 'selfsupervised'"):
        load(tmp_path)


def test_an_encoder_that_was_trained_is_frozen_and_gives_pooled_features_and_maps(tmp_path: Path):
    made, images = objective(), batch().images.requires_grad_()
    encoder = load(saved(made, tmp_path / "model"))
    features, maps = encoder(images), encoder.maps(images)
    torch.testing.assert_close(features, made.modules.encoder(images))
    assert features.shape == (8, encoder.width)
    assert [tuple(each.shape[1:]) for each in maps] == [
        *((4, 8, 8), (16, 4, 4), (32, 2, 2), (64, 1, 1), (128, 1, 1))
    ]
    torch.testing.assert_close(maps[-1].mean((2, 3)), features)
    assert not encoder.train().training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert torch.autograd.grad(maps[1].square().mean(), images)[0].abs().sum() > 0


def test_every_weight_has_a_gradient():
    made = objective()
    for parameter in made.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # none is zero, as after a few steps
    loss(made, batch()).backward()
    assert [n for n, p in made.modules.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_pictures_of_one_colour_have_a_finite_loss():
    rows = batch()
    alike = replace(rows, images=torch.zeros_like(rows.images))
    made = objective()
    value = loss(made, alike)
    value.backward()
    assert value.isfinite()
    assert all(p.grad.isfinite().all() for p in made.modules.parameters() if p.grad is not None)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"width=5 must be even"):
        objective(replace(CONFIG, selfsupervised=SelfSupervisedConfig(width=5)))
    with pytest.raises(ValueError, match="batch=1"):
        objective(replace(CONFIG, batch=1))
    with pytest.raises(ValueError, match="8 channels: train it without encode"):
        loss(objective(), replace(batch(), images=torch.zeros(8, 8, 4, 4)))
