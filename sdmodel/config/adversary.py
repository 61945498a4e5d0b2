"""What can be chosen of a discriminator: the autoencoder's, over patches."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from sdmodel.config.limits import Amount, Config, Side, Weight

Rate = Annotated[float, Interval(gt=0, le=1)]
"""A learning rate."""
Beta = Annotated[float, Interval(ge=0, lt=1)]
"""Share of a running mean that stays at each step."""


@dataclass(frozen=True, kw_only=True)
class PatchAdversaryConfig(Config):
    """The discriminator of the autoencoder objective, PatchGAN (Isola et al. 2016, arXiv:1611.07004), with
    the hinge loss. It learns by an AdamW of its own."""

    weight: Weight = 0.0
    """Of what the discriminator makes of a picture that came back, times the ratio of both losses' gradients
    at the decoder's last layer (Esser et al. 2020, arXiv:2012.09841, equation 7); 0: there is none."""
    begins: Amount = 0
    """Images that the autoencoder has seen before the discriminator begins to learn, and to count."""
    channels: Side = 64
    """Of its first layer; each further one has twice as many, eight times at most."""
    layers: Annotated[int, Interval(ge=1, le=8)] = 3
    """That halve the sides; more of them judge larger patches."""
    rate: Rate = 2e-4
    """Its learning rate at the peak."""
    beta1: Beta = 0.5
    """Share that stays of AdamW's running mean of gradients."""
    beta2: Beta = 0.9
    """Share that stays of that of their squares."""

    @property
    def least(self) -> int:
        """Pixels to a side of the smallest picture of which a patch is left."""
        return 3 * 2**self.layers
