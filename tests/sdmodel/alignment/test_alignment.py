"""Alignment in a training: what learns, what is written down, and what is published."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sdmodel.config.learning import DataConfig, LoraConfig
from sdmodel.config.limits import ConfigError
from sdmodel.config.model import UNetConfig
from sdmodel.config.representation import AlignmentConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.losses import total
from sdmodel.train.run import run
from tests.sdmodel.diffusion import cached
from tests.sdmodel.golden.tiny import CONFIG, config_of, job
from tests.sdmodel.gradients import CAPTIONS, batch, made


def contiguous(objective: Any) -> dict[str, torch.Tensor]:
    state = objective.modules.state_dict()
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()}


@pytest.mark.parametrize("kind", ["repa", "dispersive"])
@pytest.mark.parametrize("network", ["unet", "dit"])
def test_it_teaches_trunk_and_projector_and_no_teacher(network: Any, kind: Any, image_encoder: Path):
    config = replace(CONFIG, network=network, alignment=AlignmentConfig(kind=kind))
    objective = made(config, image_encoder)
    losses = objective.modules(batch(config))
    assert losses["alignment_weighted"].item() == pytest.approx(losses["metric/alignment"].item() / 2)
    assert total(losses).item() == pytest.approx((losses["denoising"] + losses["alignment_weighted"]).item())
    losses["alignment_weighted"].backward()
    taught = {name for name, p in objective.modules.named_parameters() if p.grad is not None and p.grad.any()}
    assert "network.stem.weight" in taught
    assert ("alignment.repa.projector.weight" in taught) == (kind == "repa")
    assert not [name for name in objective.modules.state_dict() if "tower" in name]
    if kind == "repa":
        assert all(p.grad is None for p in objective.teacher.encoder.parameters())  # type: ignore[attr-defined]


def test_the_denoising_error_is_that_of_a_training_without_it(image_encoder: Path):
    """So that arms of a study can be compared; and first weights of all that is published are the same."""
    plain, aligned = made(CONFIG), made(config_of("repa"), image_encoder)
    rows = batch(CONFIG)
    with torch.no_grad():
        for name, weight in plain.modules.named_parameters():
            weight.copy_(dict(aligned.modules.named_parameters())[name])
    assert torch.equal(plain.modules(rows)["denoising"], aligned.modules(rows)["denoising"])
    torch.manual_seed(3)
    alone = DiffusionObjective(CONFIG, CAPTIONS).modules.state_dict()
    torch.manual_seed(3)
    beside = DiffusionObjective(config_of("repa"), CAPTIONS, encoder=image_encoder).modules.state_dict()
    assert all(torch.equal(value, beside[name]) for name, value in alone.items())


def test_it_ends_and_each_report_has_its_loss_and_weight(dataset: Any, image_encoder: Path, tmp_path: Path):
    run(job(tmp_path / "training", dataset, config_of("repa"), encoder=image_encoder))
    lines = (tmp_path / "training/metrics.jsonl").read_text().splitlines()
    rows = {row["images"]: row for row in map(json.loads, lines)}
    assert rows[64]["weight_alignment"] == 0.5
    assert 0 < rows[64]["alignment"] < 2
    assert rows[64]["loss"] == pytest.approx(rows[64]["denoising"] + 0.5 * rows[64]["alignment"])
    assert rows[72]["weight_alignment"] == rows[72]["alignment"] == 0
    assert rows[72]["loss"] == rows[72]["denoising"]
    saved = load_file(tmp_path / "training/model/model.safetensors")
    assert not [name for name in saved if "alignment" in name]


def test_a_model_goes_on_with_another_alignment_than_it_had(tmp_path: Path, image_encoder: Path):
    first = made(config_of("dispersive"))
    first.save(tmp_path, contiguous(first))
    again = DiffusionObjective(config_of("repa"), CAPTIONS * 3, encoder=image_encoder, starting=True)
    again.start(tmp_path)
    weight = again.modules.get_parameter("network.stem.weight")
    assert torch.equal(weight, first.modules.get_parameter("network.stem.weight"))
    losses = again.modules(batch(CONFIG))
    assert losses["alignment_weighted"].isfinite()


def test_without_its_encoder_repa_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"needs an image encoder; name a model .* train\.encoder"):
        DiffusionObjective(config_of("repa"), CAPTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "unet2d"}, "gives no hidden features; take unet or dit"),
        ({"objective": "autoencoder"}, "is of the diffusion objective"),
        ({"alignment": AlignmentConfig(kind="dispersive", layer=3)}, "features can be taken at 0 to 2"),
        ({"accumulate": 2}, "all rows of a batch are compared"),
        ({"batch": 1}, "take a batch of 2 or more"),
        ({"lora": LoraConfig(rank=2), "start": "models/a"}, "low-rank changes are all that learns"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        replace(config_of("dispersive"), **changes)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"weight": 0.1}, "weight"),
        ({"layer": 0}, "layer"),
        ({"kind": "repa", "temperature": 0.1}, "temperature"),
        ({"kind": "dispersive", "spatial": False}, "spatial"),
    ],
)
def test_options_that_nothing_reads_are_refused(values: dict[str, Any], key: str):
    with pytest.raises(ConfigError, match=rf"{key}=.* is read by nothing here"):
        AlignmentConfig(**values)


def test_a_config_without_it_is_what_it_was():
    assert TrainConfig().alignment == AlignmentConfig()
    assert not TrainConfig().whole_batch


def test_cached_features_teach_as_the_encoder_does(dataset: Any, image_encoder: Path, tmp_path: Path):
    """To what float16 keeps of them, mirrored pictures among them."""
    folder = cached.write(tmp_path / "cache", dataset, pictures=False, words=False, seen=image_encoder)
    config = config_of("repa", data=DataConfig(flip=True))
    run(job(tmp_path / "asked", dataset, config, encoder=image_encoder))
    run(job(tmp_path / "cached", dataset, config, latents=folder))
    asked, read = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("asked", "cached")
    )
    for a, b in zip(asked, read, strict=True):
        assert a["alignment"] == pytest.approx(b["alignment"], rel=0.01)
        assert a["denoising"] == pytest.approx(b["denoising"], rel=0.01)


def test_on_latents_the_cache_is_what_it_learns_from(dataset: Any, image_encoder: Path, tmp_path: Path):
    bare = cached.write(tmp_path / "bare", dataset)
    with pytest.raises(ValueError, match=r"sees none; name the encoder in encode\.encoder"):
        DiffusionObjective(config_of("repa"), CAPTIONS, latents=bare, encoder=image_encoder)
    folder = cached.write(tmp_path / "cache", dataset, seen=image_encoder)
    config = config_of("repa", unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4, patch=1))
    run(job(tmp_path / "training", dataset, config, latents=folder))
    lines = (tmp_path / "training/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["alignment"] for line in lines][:8]
    assert all(0 < loss < 2 for loss in losses)


def test_features_of_other_pictures_are_refused(dataset: Any, image_encoder: Path, tmp_path: Path):
    folder = cached.write(tmp_path / "cache", dataset, pictures=False, words=False, seen=image_encoder)
    for data in (DataConfig(crop=True), DataConfig(colour=0.5), DataConfig(augment=0.5)):
        config = config_of("repa", data=data)
        with pytest.raises(ValueError, match="features are cached of the picture's centre"):
            run(job(tmp_path / "training", dataset, config, latents=folder))
    with pytest.raises(ValueError, match="features are cached for 16 x 16"):
        run(job(tmp_path / "training", dataset, config_of("repa", size=32), latents=folder))
