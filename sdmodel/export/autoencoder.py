"""Autoencoders as stock pipelines use them: latents that are the denoiser's arrays but for one factor.

A stock pipeline multiplies latents by `scaling_factor` and knows nothing else of how they were normalised.
What a `Space` does besides, a mean and a deviation for each channel, goes into the convolutions of one place
at the latents' side of an AutoencoderKL (`quant_conv`, `post_quant_conv`), which is exact.
"""

from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.latents.space import Space

CONSTANT = 1024.0
"""K: large, and a power of 2, with which sums are exact."""
NO_NOISE = -30.0
"""Logarithm of a variance: a sample is its mean."""


@torch.no_grad()
def scaled_autoencoder(vae: Any, space: Space) -> Any:
    """An AutoencoderKL whose latents times its scaling_factor are the arrays of a space.

    vae: AutoencoderKL, whose latents the space normalises; it stays as it is."""
    settings = {**vae.config, "shift_factor": None, "latents_mean": None, "latents_std": None}
    if not any(space.mean) and len(set(space.deviation)) == 1:
        scaled = type(vae).from_config({**settings, "scaling_factor": 1 / space.deviation[0]})
        scaled.load_state_dict(vae.state_dict())
        return scaled.eval()
    settings |= {"scaling_factor": 1.0, "use_quant_conv": True, "use_post_quant_conv": True}
    scaled = type(vae).from_config(settings)
    for name in ("quant_conv", "post_quant_conv"):
        if getattr(vae, name) is None:
            nn.init.dirac_(getattr(scaled, name).weight)
            nn.init.zeros_(getattr(scaled, name).bias)
    scaled.load_state_dict(vae.state_dict(), strict=False)
    mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (space.mean, space.deviation))
    # Encoder: (mean - m) / s, and the logarithm of the variance less 2 log s.
    ones = torch.ones_like(mean)
    factor, added = torch.cat([1 / deviation, ones]), torch.cat([-mean / deviation, -2 * deviation.log()])
    weight, bias = _double(scaled.quant_conv)
    _set(scaled.quant_conv, weight * factor[:, None, None, None], bias * factor + added)
    # Decoder: W (s z + m) + b.
    weight, bias = _double(scaled.post_quant_conv)
    _set(scaled.post_quant_conv, weight * deviation[:, None, None], bias + weight[..., 0, 0] @ mean)
    return scaled.eval()


@torch.no_grad()
def pixel_autoencoder() -> Any:
    """An AutoencoderKL that hands pixels through, for pipelines that ask for one: to 1e-6 in float32.

    Each colour x has four channels, x, -x, K and -K. Their mean is 0 and their variance (K^2 + x^2) / 2, so
    that group normalisation divides by a constant where K is large, and SiLU is undone by its own symmetry,
    silu(x) - silu(-x) = x. All residual blocks add 0."""
    from diffusers import AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]

    vae: Any = AutoencoderKL(
        block_out_channels=(12,),
        latent_channels=3,
        norm_num_groups=3,
        scaling_factor=1.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )
    for parameter in vae.parameters():
        parameter.zero_()
    for half in (vae.encoder, vae.decoder):
        half.conv_norm_out.weight.fill_(CONSTANT / 2**0.5)
        for colour in range(3):
            x, negative, above, below = range(4 * colour, 4 * colour + 4)
            half.conv_in.weight[x, colour, 1, 1] = half.conv_out.weight[colour, x, 1, 1] = 1
            half.conv_in.weight[negative, colour, 1, 1] = half.conv_out.weight[colour, negative, 1, 1] = -1
            half.conv_in.bias[above], half.conv_in.bias[below] = CONSTANT, -CONSTANT
    vae.encoder.conv_out.bias[3:] = NO_NOISE
    return vae.eval()


def _double(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    assert layer.bias is not None
    return layer.weight.double(), layer.bias.double()


def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert layer.bias is not None
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
