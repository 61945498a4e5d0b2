"""Folders of generative adversarial networks, and pictures from them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import Tensor

from sdmodel import philox
from sdmodel.config.gan import GanConfig
from sdmodel.gan.choice import discriminator_of, generator_of, shares_right
from sdmodel.gan.networks import Generator
from sdmodel.gan.residual import ResidualGenerator

KIND = "gan"
"""In config.json of its folders."""
GENERATOR_WEIGHTS, DISCRIMINATOR_WEIGHTS = "generator.safetensors", "discriminator.safetensors"
CHUNK = 64
"""Pictures that are drawn at once: bounds memory."""
STREAM = "gan sample"


@dataclass(frozen=True)
class GanShape:
    """What a folder says of its networks."""

    size: int
    """Pixels to a side."""
    gan: GanConfig


class GanSampler:
    """A trained generator, ready to draw."""

    def __init__(self, generator: Generator | ResidualGenerator, size: int):
        self.generator = generator.eval().requires_grad_(False)
        self.size = size

    def sample(self, captions: list[str], seeds: list[int], sampling: Any = None) -> Tensor:
        """Pictures (B, 3, S, S) float32 in [-1, 1] on the CPU, each of its seed alone. captions: one for each
        seed, not read. sampling: there are no steps to choose; not read."""
        return sample(self.generator, seeds)


@torch.no_grad()
def sample(generator: Generator | ResidualGenerator, seeds: list[int]) -> Tensor:
    """Pictures (B, 3, S, S) float32 in [-1, 1] on the CPU, one for each seed, of noise that is its alone."""
    place = generator.first.weight.device
    rows = torch.tensor(seeds, dtype=torch.int64, device=place)
    latents = philox.normal(0, rows, STREAM, generator.first.in_features)
    return torch.cat([generator(part).cpu() for part in latents.split(CHUNK)]).contiguous()


def read_shape(folder: Path) -> GanShape:
    """What config.json says. ValueError: no such folder, or another kind of model."""
    file = folder / "config.json"
    saved = json.loads(file.read_text()) if file.is_file() else {}
    if saved.get("kind") != KIND:
        raise ValueError(
            f"{folder}: holds no model of kind {KIND!r}, which a training of that objective writes"
        )
    return GanShape(saved["model"]["size"], TypeAdapter(GanConfig).validate_python(saved["model"]["gan"]))


def judged_right(folder: Path, real: Tensor, fake: Tensor, device: str = "cpu") -> dict[str, float]:
    """How often the discriminator of a folder is right: shares in [0, 1] of pictures (N, 3, S, S) float32 in
    [-1, 1], see `shares_right`. ValueError: see `read_shape`."""
    shape = read_shape(folder)
    with torch.device("meta"):
        judge = discriminator_of(shape.gan, shape.size)
    judge.load_state_dict(load_file(folder / DISCRIMINATOR_WEIGHTS), assign=True)
    judge.requires_grad_(False).to(device)
    logits = [torch.cat([judge(part.to(device)) for part in x.split(CHUNK)]) for x in (real, fake)]
    shares = shares_right(shape.gan, logits[0][:, None], logits[1])
    return {name: float(share) for name, share in shares.items()}


def load(folder: Path, device: str = "cpu") -> GanSampler:
    """The generator that a training wrote. ValueError: see `read_shape`."""
    shape = read_shape(folder)
    with torch.device("meta"):
        generator = generator_of(shape.gan, shape.size)
    generator.load_state_dict(load_file(folder / GENERATOR_WEIGHTS), assign=True)
    return GanSampler(generator.to(device), shape.size)
