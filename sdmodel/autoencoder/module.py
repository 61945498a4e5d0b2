"""The autoencoder with its losses, and the discriminator that it may learn against.

Two turns on a batch, where there is a discriminator: the autoencoder's, in which gradients go through the
discriminator and leave none in it, and the discriminator's, on the same pictures, whose reconstructions carry
no gradient.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor, nn

from sdmodel.adversarial.adaptive_weight import adaptive_weight
from sdmodel.adversarial.loss import accuracies, hinge
from sdmodel.adversarial.patchgan import PatchDiscriminator
from sdmodel.autoencoder.perceptual import PerceptualDistance, perceptual_distance
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import metrics
from sdmodel.players import Adam, Player

WINDOW = 10_000
"""Images of one process that the latents' statistics are taken over, about."""
LOG_VARIANCE = (-30.0, 20.0)
"""Bounds of the posterior's log-variance, as in diffusers: its exponential stays finite."""
AUTOENCODER, DISCRIMINATOR = "autoencoder", "discriminator"
"""Players."""


def players_of(config: TrainConfig) -> tuple[Player, ...]:
    """None without an adversary."""
    adversary = config.autoencoder.adversary
    if not adversary.weight:
        return ()
    adam = Adam(rate=adversary.rate, betas=(adversary.beta1, adversary.beta2))
    return (
        Player(name=AUTOENCODER, prefixes=("vae.", "log_variance")),
        Player(name=DISCRIMINATOR, prefixes=("discriminator.",), begins=adversary.begins, adam=adam),
    )


class Autoencoder(nn.Module):
    """AutoencoderKL with its losses, and running statistics of its latents."""

    adamw_layers = (
        *("vae.encoder.conv_in", "vae.encoder.conv_out", "vae.quant_conv"),
        *("vae.post_quant_conv", "vae.decoder.conv_in", "vae.decoder.conv_out"),
    )

    seen: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, vae: AutoencoderKL, config: TrainConfig, encoder: Path | None = None):
        """encoder: of the perceptual loss, see `perceptual_distance`; it is no part of the module."""
        super().__init__()
        self.vae = vae
        self.config = config
        own = config.autoencoder
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(own.latent))
        self.register_buffer("square", torch.ones(own.latent))
        self.log_variance = nn.Parameter(torch.zeros(1)) if own.log_variance else None
        self.discriminator = PatchDiscriminator(own.adversary) if own.adversary.weight else None
        self.perceptual: PerceptualDistance | None = None
        if own.perceptual:
            self.perceptual = perceptual_distance(encoder, own.lpips)

    def forward(self, batch: Batch, player: str = AUTOENCODER) -> dict[str, Tensor]:
        """Losses of a player's turn on pictures in [-1, 1].

        Of the autoencoder, each by its weight: "reconstruction", the mean error of pixels from a latent;
        "perceptual", the mean distance of feature maps; "uncertainty", what their learned log-variance adds;
        "kl", the divergence of the posterior; "adversary", what the discriminator makes of it. Of the
        discriminator: "discriminator", the hinge loss. Beside them metrics: the adaptive weight, and how
        often the discriminator is right.

        ValueError: the stream reads latents."""
        if player == DISCRIMINATOR:
            return self._discriminate(batch)
        own = self.config.autoencoder
        mean, log_variance = self.posterior(batch.images)
        z = self._latent(batch, mean, log_variance)  # (B, C, h, w)
        if self.training:
            self._count(z.detach())
        back = self.decode(z)
        apart = back - batch.images
        losses = {
            "reconstruction": (apart.abs() if own.reconstruction == "l1" else apart.square()).mean(),
        }
        if self.perceptual is not None:
            distance = self.perceptual.to(back.device)(back, batch.images).mean()
            losses["perceptual"] = own.perceptual * distance
        error = torch.stack(list(losses.values())).sum()
        if self.log_variance is not None:
            s = self.log_variance.squeeze()
            weighed = error / s.exp() + s
            # As logged, errors are as they are; their gradient, and that of s, is the weighed sum's.
            losses = {name: loss.detach() for name, loss in losses.items()}
            losses["uncertainty"] = weighed - error.detach()
            error = weighed
        if own.kl:
            losses["kl"] = own.kl * kl(mean, log_variance).mean()
        if self.discriminator is not None and batch.images_seen >= own.adversary.begins:
            losses |= self._fool(back, error)
        return losses

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

    def _latent(self, batch: Batch, mean: Tensor, log_variance: Tensor) -> Tensor:
        if not self.config.autoencoder.draw:
            return mean
        return mean + (log_variance / 2).exp() * batch.normal("latent", *mean.shape[1:])

    def _fool(self, back: Tensor, error: Tensor) -> dict[str, Tensor]:
        """The hinge loss of what is judged, -E[D(G(z))], by its weights. error: the reconstruction's."""
        assert self.discriminator is not None
        loss = -self.discriminator(back).mean()
        ratio = adaptive_weight(error, loss, self.vae.decoder.conv_out.weight)
        weight = self.config.autoencoder.adversary.weight * ratio
        return {"adversary": weight * loss, **metrics({"adversary_weight": weight})}

    def _discriminate(self, batch: Batch) -> dict[str, Tensor]:
        assert self.discriminator is not None
        with torch.no_grad():
            back = self.decode(self._latent(batch, *self.posterior(batch.images)))
        real, fake = self.discriminator(torch.cat([batch.images, back])).chunk(2)
        return {"discriminator": hinge(real, fake), **metrics(accuracies(real, fake))}

    @torch.no_grad()
    def _count(self, z: Tensor) -> None:
        """Takes latents into the statistics: a plain mean at first, then one that forgets.

        Each process counts its own rows; DistributedDataParallel hands the first one's on to all."""
        rows = len(z)
        self.seen += rows
        share = (rows / self.seen.float()).clamp(min=min(1.0, rows / WINDOW))
        self.mean.lerp_(z.mean((0, 2, 3)), share)
        self.square.lerp_(z.square().mean((0, 2, 3)), share)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a normal distribution from the standard one, (B,) float32, summed over a
    latent's values (Kingma and Welling 2013, arXiv:1312.6114, appendix B). Both (B, C, h, w)."""
    values = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
    return values.flatten(1).sum(1)
