"""What can be chosen of the autoencoder objective: the model and its losses."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import MinLen

from sdmodel.config.adversary import PatchAdversaryConfig
from sdmodel.config.limits import NEUTRAL, Config, Depth, Mistake, Side, Weight


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(Config):
    """The variational autoencoder of the autoencoder objective: diffusers' AutoencoderKL."""

    channels: Annotated[tuple[Side, ...], MinLen(1)] = (32, 64, 64)
    """Channels of each level, finest first; each level but the last halves the sides."""
    blocks: Depth = 1
    """Residual blocks a level."""
    latent: Side = 4
    """Channels of a latent."""
    groups: Side = 8
    """Groups of its normalisation; must divide the channels of every level."""
    reconstruction: Literal["l1", "l2"] = "l1"
    """Error of pixels that is learned from: absolute or squared."""
    draw: bool = True
    """Pictures come back from latents that are drawn from the posterior, as a variational autoencoder's do;
    false takes its mean, which is a plain autoencoder's latent, and needs kl 0."""
    kl: Weight = 1e-6
    """Weight of the Kullback-Leibler divergence from a standard normal, summed over a latent's values."""
    log_variance: bool = False
    """Learn how far pictures that come back are off: the error e of a picture counts as e / exp(s) + s, where
    s is learned (Rybkin et al. 2020, arXiv:2006.13202). With kl = 1 / (3 * size * size) that is the evidence
    lower bound, by pixel."""
    perceptual: Weight = 0.0
    """Weight of the distance of feature maps, of train.encoder or of lpips; 0: only pixels count."""
    lpips: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """Folder or file of weights of LPIPS, as safetensors: torchvision's vgg16 ("features.0.weight", ...) and
    the layers over it ("lin0.model.1.weight", ...). Empty: train.encoder is what sees pictures, if any
    does."""
    adversary: PatchAdversaryConfig = field(default_factory=PatchAdversaryConfig)
    """A discriminator that tells pictures that came back from others."""

    @property
    def factor(self) -> int:
        """Pixels to a side of one place of the latent."""
        return 2 ** (len(self.channels) - 1)

    def conflicts(self) -> Iterator[Mistake]:
        """Groups that do not divide the channels, and losses of what is not there."""
        if unfit := [width for width in self.channels if width % self.groups]:
            yield self.mistake(f"groups must divide {unfit} too", "groups", "channels")
        if self.kl and not self.draw:
            yield self.mistake(
                "nothing is drawn of which the divergence would be; set kl to 0, or draw to true",
                "kl",
                "draw",
            )
        if self.lpips and not self.perceptual:
            yield self.mistake(
                "nothing would read these weights; set perceptual above 0, or leave lpips empty",
                *("lpips", "perceptual"),
            )
