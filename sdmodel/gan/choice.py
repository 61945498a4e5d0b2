"""What a config's gan says: which networks there are, and when they judge right."""

from torch import Tensor

from sdmodel.adversarial.loss import accuracies
from sdmodel.config.gan import GanConfig
from sdmodel.gan.networks import Discriminator, Generator
from sdmodel.gan.relativistic import pairs_right
from sdmodel.gan.residual import ResidualDiscriminator, ResidualGenerator


def generator_of(config: GanConfig, size: int) -> Generator | ResidualGenerator:
    """For pictures of `size` pixels to a side. ValueError: see `levels`."""
    return (ResidualGenerator if config.network == "residual" else Generator)(config, size)


def discriminator_of(config: GanConfig, size: int) -> Discriminator | ResidualDiscriminator:
    """For pictures of `size` pixels to a side. ValueError: see `levels`."""
    return (ResidualDiscriminator if config.network == "residual" else Discriminator)(config, size)


def shares_right(config: GanConfig, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """How often logits of real and of generated pictures are right, shares () in [0, 1]: see `accuracies`
    and, for a loss that compares pictures and leaves open where 0 is, `pairs_right`."""
    return pairs_right(real, fake) if config.loss == "relativistic" else accuracies(real, fake)
