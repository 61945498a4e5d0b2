"""The autoencoder (VAE) objective: a picture must come back from its latent, and latents shall be near a
normal distribution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.autoencoder import model
from sdmodel.autoencoder.module import LOG_VARIANCE, Autoencoder, players_of
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.evaluate.regression import error_sums
from sdmodel.players import Player
from sdmodel.weights import submodule_weights

ADVERSARY = "discriminator/model.safetensors"
"""Beside diffusers' files: the discriminator, for a training that starts from the folder."""


class AutoencoderObjective:
    """Trains an AutoencoderKL; `save` writes a folder that diffusers loads. Captions are not used."""

    readers = ()
    sample = None
    enough = None

    def __init__(self, config: TrainConfig, encoder: Path | None = None):
        """encoder: folder of the image encoder that sees pictures for the perceptual loss, where LPIPS does
        not. ValueError: it holds none, or the weights of LPIPS are none."""
        self.config = config
        self._encoder = encoder
        self.modules = Autoencoder(model.build(config.autoencoder, config.size), config, encoder)

    @property
    def heavy(self) -> list[nn.Module]:
        """Encoder and decoder."""
        parts: Any = self.modules.vae
        return [parts.encoder, parts.decoder]

    @property
    def players(self) -> Sequence[Player]:
        """The autoencoder and its discriminator; none without one."""
        return players_of(self.config)

    @property
    def whole_batch(self) -> bool:
        """The adversary's weight is a ratio of gradients of the whole batch."""
        return self.config.whole_batch

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """Errors of pictures that come back from the mean of their latents; see `error_sums`."""
        back = self.modules.decode(self.modules.posterior(batch.images)[0])
        return error_sums(back, batch.images, torch.zeros_like(batch.index), 1)

    def start(self, folder: Path) -> None:
        """Takes the weights of a diffusers folder: an AutoencoderKL's, or the `vae` in a pipeline's; and
        those of a discriminator that lies beside them, where there is one.

        ValueError: it holds none, or one of another shape."""
        vae = model.load(folder, self.modules.vae)
        self.modules = Autoencoder(vae, self.config, self._encoder)
        file = folder / ADVERSARY
        if self.modules.discriminator is not None and file.exists():
            try:
                self.modules.discriminator.load_state_dict(load_file(file))
            except RuntimeError as error:
                raise ValueError(
                    f"{file}: a discriminator of another shape; make autoencoder.adversary agree, or remove "
                    f"the file to begin with a new one: {error}"
                ) from error

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes config.json and diffusion_pytorch_model.safetensors, and the discriminator in a folder of
        its own.

        The latents' mean and deviation in the config are those seen while training, lately. Where no latent
        was drawn, the posterior's deviation is the least that diffusers knows."""
        config = self.config.autoencoder
        mean, square = weights["mean"], weights["square"]
        deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
        vae_weights = submodule_weights(weights, "vae.")
        if not config.draw:  # what says the log-variance was never asked
            vae_weights = {name: value.clone() for name, value in vae_weights.items()}
            vae_weights["quant_conv.weight"][config.latent :] = 0
            vae_weights["quant_conv.bias"][config.latent :] = LOG_VARIANCE[0]
        model.save(folder, config, self.config.size, vae_weights, mean, deviation)
        if discriminator := submodule_weights(weights, "discriminator."):
            (folder / ADVERSARY).parent.mkdir()
            save_file(discriminator, folder / ADVERSARY)
