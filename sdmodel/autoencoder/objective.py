"""The autoencoder (VAE) objective: a picture must come back from its latent, and latents shall be near a
normal distribution.

No adversary and no perceptual loss yet, so fine texture comes back smoothed.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.autoencoder import model
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.evaluate.regression import error_sums
from sdmodel.weights import submodule_weights

WINDOW = 10_000
"""Images of one process that the latents' statistics are taken over, about."""
LOG_VARIANCE = (-30.0, 20.0)
"""Bounds of the posterior's log-variance, as in diffusers: its exponential stays finite."""


class Autoencoder(nn.Module):
    """AutoencoderKL with its loss, and running statistics of its latents."""

    adamw_layers = (
        *("vae.encoder.conv_in", "vae.encoder.conv_out", "vae.quant_conv"),
        *("vae.post_quant_conv", "vae.decoder.conv_in", "vae.decoder.conv_out"),
    )

    seen: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, vae: AutoencoderKL, config: TrainConfig):
        super().__init__()
        self.vae = vae
        self.config = config
        channels = config.autoencoder.latent
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"reconstruction", "kl"}: the mean absolute error of pixels in [-1, 1] from a latent that is drawn,
        and `kl` times its divergence.

        ValueError: the stream reads latents."""
        mean, log_variance = self.posterior(batch.images)
        noise = batch.normal("latent", *mean.shape[1:])
        z = mean + (log_variance / 2).exp() * noise  # (B, C, h, w)
        if self.training:
            self._count(z.detach())
        back = self.decode(z)
        divergence = kl(mean, log_variance).mean()
        return {
            "reconstruction": F.l1_loss(back, batch.images),
            "kl": self.config.autoencoder.kl * divergence,
        }

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (B, C, h, w) float32 each, of the latents of images (B, 3, H, W)."""
        if images.shape[1] != 3:
            raise ValueError(
                f"the autoencoder objective learns from pixels, and the batch has {images.shape[1]} "
                "channels: train it without encode"
            )
        moments = self.vae.encode(images, return_dict=False)[0].parameters.float()  # (B, 2 C, h, w)
        mean, log_variance = moments.chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) float32 of latents (B, C, h, w)."""
        return self.vae.decode(z, return_dict=False)[0].float()  # pyright: ignore - it asks for FloatTensor

    @torch.no_grad()
    def _count(self, z: Tensor) -> None:
        """Takes latents into the statistics: a plain mean at first, then one that forgets.

        Each process counts its own rows; DistributedDataParallel hands the first one's on to all."""
        rows = len(z)
        self.seen += rows
        share = (rows / self.seen.float()).clamp(min=min(1.0, rows / WINDOW))
        self.mean.lerp_(z.mean((0, 2, 3)), share)
        self.square.lerp_(z.square().mean((0, 2, 3)), share)


class AutoencoderObjective:
    """Trains an AutoencoderKL; `save` writes a folder that diffusers loads. Captions are not used."""

    whole_batch = False
    readers = ()
    sample = None
    enough = None
    players = ()

    def __init__(self, config: TrainConfig):
        self.config = config
        self.modules = Autoencoder(model.build(config.autoencoder, config.size), config)

    @property
    def heavy(self) -> list[nn.Module]:
        """Encoder and decoder."""
        parts: Any = self.modules.vae
        return [parts.encoder, parts.decoder]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """Errors of pictures that come back from the mean of their latents; see `error_sums`."""
        back = self.modules.decode(self.modules.posterior(batch.images)[0])
        return error_sums(back, batch.images, torch.zeros_like(batch.index), 1)

    def start(self, folder: Path) -> None:
        """Takes the weights of a diffusers folder: an AutoencoderKL's, or the `vae` in a pipeline's.

        ValueError: it holds none, or one of another shape."""
        self.modules = Autoencoder(model.load(folder, self.modules.vae), self.config)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes config.json and diffusion_pytorch_model.safetensors.

        The latents' mean and deviation in the config are those seen while training, lately."""
        mean, square = weights["mean"], weights["square"]
        deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
        vae_weights = submodule_weights(weights, "vae.")
        model.save(folder, self.config.autoencoder, self.config.size, vae_weights, mean, deviation)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a normal distribution from the standard one, (B,) float32, summed over a
    latent's values (Kingma and Welling 2013, arXiv:1312.6114, appendix B). Both (B, C, h, w)."""
    values = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
    return values.flatten(1).sum(1)
