"""Distances in feature maps: by an image encoder of ours, and by LPIPS."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.autoencoder.lpips import BLOCKS, SCALE, SHIFT, load
from sdmodel.autoencoder.perceptual import distances, perceptual_distance
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.selfsupervised import encoder

WIDTHS = (4, 6, 8, 8, 8)


def image_encoder(folder: Path) -> Path:
    """Writes one of random weights."""
    torch.manual_seed(0)
    config = SelfSupervisedConfig(width=4, embedding=8)
    folder.mkdir()
    about = {"kind": encoder.KIND, "model": {"size": 16, "selfsupervised": asdict(config)}}
    (folder / "config.json").write_text(json.dumps(about))
    save_file(encoder.build(config).state_dict(), folder / encoder.WEIGHTS)
    return folder


def lpips_weights(seed: int = 0) -> dict[str, Tensor]:
    """By the names of torchvision and of the authors, of fewer channels."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    narrow = 3
    for number, (block, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True)):
        for layer in block:
            weights[f"features.{layer}.weight"] = torch.randn(width, narrow, 3, 3, generator=generator) / 4
            weights[f"features.{layer}.bias"] = torch.randn(width, generator=generator) / 4
            narrow = width
        weights[f"lin{number}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=generator)
    return weights


def peer(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """LPIPS as the authors' package computes it: torchvision's layers one after the other, linear heads."""
    layers: list[nn.Module] = []
    for number in range(31):
        if f"features.{number}.weight" in weights:
            kernel = weights[f"features.{number}.weight"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.load_state_dict({"weight": kernel, "bias": weights[f"features.{number}.bias"]})
            layers.append(layer)
        else:
            layers.append(nn.MaxPool2d(2) if number in (4, 9, 16, 23, 30) else nn.ReLU())
    slices = [nn.Sequential(*layers[a:b]) for a, b in ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30))]
    total = torch.zeros(len(x))
    x, y = ((p - torch.tensor(SHIFT).view(3, 1, 1)) / torch.tensor(SCALE).view(3, 1, 1) for p in (x, y))
    for number, part in enumerate(slices):
        x, y = part(x), part(y)
        a, b = (z / (z.square().sum(1, keepdim=True).sqrt() + 1e-10) for z in (x, y))
        total = total + F.conv2d((a - b).square(), weights[f"lin{number}.model.1.weight"]).mean((1, 2, 3))
    return total


def pictures(seed: int) -> Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_unit_vectors_are_compared():
    a = torch.tensor([[[[3.0]], [[4.0]]]])  # (1, 2, 1, 1), direction (.6, .8)
    b = torch.tensor([[[[0.0]], [[2.0]]]])
    assert distances([a], [b]).item() == pytest.approx(0.36 + 0.04)
    assert distances([a, a], [5 * a, b], [torch.tensor([1.0, 1.0]), torch.tensor([0.5, 2.0])]).item() == (
        pytest.approx(0.5 * 0.36 + 2 * 0.04)
    )


def test_a_place_without_features_has_a_finite_gradient():
    nothing = torch.zeros(1, 4, 2, 2, requires_grad=True)
    distances([nothing], [torch.ones(1, 4, 2, 2)]).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.isfinite().all()


def test_lpips_is_its_authors(tmp_path: Path):
    weights = lpips_weights()
    save_file({k: v for k, v in weights.items() if k.startswith("lin")}, tmp_path / "lin.safetensors")
    save_file({k: v for k, v in weights.items() if k.startswith("f")}, tmp_path / "vgg16.safetensors")
    x, y = pictures(1), pictures(2)
    measured = perceptual_distance(None, str(tmp_path))(x, y)
    torch.testing.assert_close(measured, peer(weights, x, y), rtol=1e-5, atol=1e-7)
    assert measured.min() > 0.01
    del weights["lin4.model.1.weight"]
    save_file(weights, tmp_path / "short.safetensors")
    with pytest.raises(ValueError, match=r"lin4\.model\.1\.weight"):
        load(tmp_path / "short.safetensors")


def test_an_encoder_of_ours_measures_with_unit_weights(tmp_path: Path):
    with pytest.raises(ValueError, match="needs an image encoder"):
        perceptual_distance(None)
    distance = perceptual_distance(image_encoder(tmp_path / "encoder"))
    x, y = pictures(1), pictures(2)
    assert distance(x, x).abs().max() < 1e-10
    near = (x + 0.02 * y).clamp(-1, 1)
    assert (distance(x, near) < distance(x, y)).all()
    maps = encoder.load(tmp_path / "encoder").maps
    torch.testing.assert_close(distance(x, y), distances(maps(x), maps(y)), rtol=1e-4, atol=1e-6)
