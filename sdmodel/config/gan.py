"""What can be chosen of the gan objective: generator, discriminator, and how they learn against each
other."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from sdmodel.config.adversary import Beta
from sdmodel.config.limits import Config, Count, Side, Weight


@dataclass(frozen=True, kw_only=True)
class GanConfig(Config):
    """A generative adversarial network of convolutions (DCGAN; Radford et al. 2015, arXiv:1511.06434),
    without captions. Both players learn by AdamW, at optimizer.adam_rate."""

    latent: Side = 128
    """Numbers that a picture is made of."""
    channels: Side = 64
    """Of the finest level of either network; each coarser level has twice as many, eight times at most."""
    network: Literal["dcgan", "residual"] = "dcgan"
    """ "residual" has further convolutions that refine each level (He et al. 2015, arXiv:1512.03385), and
    tells every level of the generator of the noise, not the first alone (Perez et al. 2017,
    arXiv:1709.07871)."""
    loss: Literal["logistic", "hinge", "relativistic"] = "logistic"
    """The discriminator's loss. With "logistic" the generator's is the non-saturating one (Goodfellow et al.
    2014, arXiv:1406.2661), with "hinge" what the discriminator makes of a picture (Lim and Ye 2017,
    arXiv:1705.02894). With "relativistic" either's is how a real picture compares with a generated one
    (Jolicoeur-Martineau 2018, arXiv:1807.00734)."""
    penalty: Weight = 1.0
    """R1 (Mescheder et al. 2018, arXiv:1801.04406): half of this, times the squared gradient of what the
    discriminator makes of real pictures; 0 lets it be as steep as it likes."""
    fake_penalty: Weight = 0.0
    """R2 (the same, equation 10): as `penalty`, on generated pictures; beside the relativistic loss it is the
    same (Huang et al. 2025, arXiv:2501.05441)."""
    penalty_every: Count = 4
    """Batches of which one has these penalties, times as many (lazily; Karras et al. 2019, arXiv:1912.04958,
    appendix B)."""
    augment: tuple[Literal["colour", "translation", "cutout"], ...] = ()
    """Changes that are made to all pictures before they are judged, real and generated (DiffAugment; Zhao et
    al. 2020, arXiv:2006.10738); for sets of a few thousand pictures and less."""
    beta1: Beta = 0.0
    """Share that stays of AdamW's running mean of gradients."""
    beta2: Beta = 0.99
    """Share that stays of that of their squares."""
    discriminator_rate: Annotated[float, Interval(gt=0, le=1000)] = 1.0
    """The discriminator's learning rate, as a factor on the generator's (two time scales; Heusel et al. 2017,
    arXiv:1706.08500)."""
