"""The peers' model and loss as an objective of our loop: what differs between the sides is the loop alone.

Where the stream reads a cache, latents are drawn from the cached moments and captions are cached states; else
the frozen autoencoder and text encoder are run for each batch, as the peers do.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from sdmodel.data.batch import Batch


class Noise(nn.Module):
    """UNet and, without a cache, what is frozen beside it; the loss is the squared error of the noise."""

    def __init__(self, folder: Path, *, cached: bool) -> None:
        super().__init__()
        self.unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
        self.schedule: Any = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
        self.scaling: float = AutoencoderKL.load_config(folder, subfolder="vae")["scaling_factor"]
        self.cached = cached
        if not cached:
            self.vae: Any = AutoencoderKL.from_pretrained(folder, subfolder="vae").requires_grad_(False)
            self.text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder").requires_grad_(False)
            self.tokenizer: Any = CLIPTokenizer.from_pretrained(folder / "tokenizer")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"denoising": () float32}."""
        mean, log_variance, states = self._read(batch)
        latents = mean + (log_variance / 2).exp() * batch.normal("latent", *mean.shape[1:])
        latents = latents * self.scaling
        noise = batch.normal("noise", *mean.shape[1:])
        steps = self.schedule.config.num_train_timesteps
        timesteps = (batch.uniform("times") * steps).long()
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        found = self.unet(noisy, timesteps, states, return_dict=False)[0]
        return {"denoising": nn.functional.mse_loss(found.float(), noise)}

    @torch.no_grad()
    def _read(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log-variance of the latents, (B, C, h, w) each, and the captions' states (B, L, D)."""
        if self.cached:
            assert batch.text is not None
            mean, log_variance = batch.images.chunk(2, dim=1)
            return mean, log_variance, batch.text.states
        latents = self.vae.encode(batch.images, return_dict=False)[0]
        words = self.tokenizer(
            batch.captions,
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return latents.mean, latents.logvar, self.text(words["input_ids"], return_dict=False)[0]


class NoiseObjective:
    """`Noise` as sdmodel.objective.Objective; nothing is saved or validated in the time that is
    measured."""

    whole_batch = False
    readers = ()
    sample = None
    enough = None
    players = ()

    def __init__(self, folder: Path, *, cached: bool) -> None:
        self.modules = Noise(folder, cached=cached)

    @property
    def heavy(self) -> list[nn.Module]:
        """The UNet."""
        return [self.modules.unet]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """An objective must have it; the measured loop validates nothing."""
        raise AssertionError("the benchmark measures no validation")

    def start(self, folder: Path) -> None:
        """An objective must have it; the folder's weights are there from the start."""
        raise AssertionError("the benchmark starts from nothing else")

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """An objective must have it; the measured loop ends before a model is written."""
        raise AssertionError("the benchmark saves no model")
