"""The diffusion objective: text encoder and denoiser, trained together to find the image in the noise."""

import dataclasses
import json
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.unet import UNet
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.times import logit_normal
from sdmodel.text.tokenizer import PAD_ID, Tokenizer
from sdmodel.text.transformer import TextTransformer

KIND = "diffusion"
SHAPE = ("size", "text", "network", "unet")
"""What of a TrainConfig decides the model's weights and what they mean."""


class Diffusion(nn.Module):
    """Text encoder, denoiser and their loss."""

    def __init__(self, config: TrainConfig, tokenizer: Tokenizer):
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.text = TextTransformer(config.text, len(tokenizer))
        self.network = UNet(config.unet, config.size, self.text.pooled_width, config.text.width)

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """{"denoising": scalar}: the squared error of the estimated clean images at random times, all times
        of equal weight.

        A weight of 1 on the clean image leans towards noise, where the caption matters; the velocity's
        weight, 1 / (1 - t)^2, was measured to teach captions badly.
        """
        x_0, noise = batch.images, self.config.noise
        t = logit_normal(batch.stratified(generator), noise.mean, noise.deviation)
        eps = batch.normal(generator, *x_0.shape[1:])
        dropped = batch.uniform(generator) < self.config.caption_dropout
        captions = [
            "" if drop else caption for caption, drop in zip(batch.captions, dropped.tolist(), strict=True)
        ]
        estimate = self.denoise(interpolate(x_0, eps, t), t, self.encode(captions))
        return {"denoising": (estimate - x_0).square().mean()}

    def encode(self, captions: list[str]) -> Condition:
        """Captions as the denoiser is told them; "" stands for no caption."""
        ids = self.tokenizer.encode(captions, self.config.text.length).to(self.text.position.device)  # (B, L)
        mask = ids != PAD_ID
        pooled, states = self.text(ids, mask)
        return Condition(pooled, states, mask)

    def denoise(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The clean images that are expected behind x_t (B, 3, S, S) at times t (B,)."""
        return self.network(x_t, t, condition)


class DiffusionObjective:
    """Trains a text-to-image model; `save` writes weights, config and tokenizer."""

    def __init__(self, config: TrainConfig, captions: list[str]):
        self.config = config
        self.modules = Diffusion(config, Tokenizer.learn(captions, config.text.vocabulary))

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from a model folder. ValueError: it holds another kind or shape of
        model."""
        config = read_config(folder)
        shape, wanted = [{name: getattr(c, name) for name in SHAPE} for c in (config, self.config)]
        if shape != wanted:
            raise ValueError(
                f"{folder}: holds a model of {shape}; the config asks for {wanted}; "
                "size, text, network and unet must agree"
            )
        self.modules = Diffusion(self.config, Tokenizer.load(folder))
        self.modules.load_state_dict(load_file(folder / "model.safetensors"))

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes model.safetensors, config.json and tokenizer.json into `folder`.

        What cannot change a model (device, processes) is not told: equal models are equal files."""
        save_file(weights, folder / "model.safetensors")
        whole = dataclasses.asdict(self.config)
        for field in dataclasses.fields(self.config):
            if field.metadata.get("neutral"):
                del whole[field.name]
        held = {"kind": KIND, "model": {name: whole[name] for name in SHAPE}, "training": whole}
        (folder / "config.json").write_text(json.dumps(held, indent=2, sort_keys=True) + "\n")
        self.modules.tokenizer.save(folder)


def read_config(folder: Path) -> TrainConfig:
    """The config of a model folder, as far as it says what the model is; how it was trained is left at
    defaults.

    So a model stays readable when the choices of training change. ValueError: no such folder, or another kind
    of model.
    """
    file = folder / "config.json"
    if not file.exists():
        raise ValueError(f"{folder}: no config.json in it; a model folder of the {KIND} objective holds one")
    held = json.loads(file.read_text())
    if held.get("kind") != KIND:
        raise ValueError(f"{folder}: holds a model of kind {held.get('kind')!r}; {KIND!r} is needed")
    return TypeAdapter(TrainConfig).validate_python(held["model"])
