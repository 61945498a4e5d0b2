"""Colour jitter: other brightness, contrast and saturation. A caption that names a colour forbids it."""

import re

from torch import Tensor

COLOUR_WORDS = re.compile(
    r"\b(?:(?:light|dark|pale|deep|bright)?(?:black|white|gr[ae]y|red|green|blue|yellow|orange|purple|pink|brown"
    r"|cyan|magenta|turquoise|teal|violet|indigo|lilac|lavender|maroon|crimson|scarlet|ruby|navy|azure|beige"
    r"|cream|ivory|tan|khaki|olive|lime|mint|emerald|jade|coral|salmon|peach|gold|silver|bronze|copper|amber"
    r"|blond|blonde|brunette|ginger)(?:ish|en|s|y)?"
    r"|reddish|colou?r\w*|multicolou?red|monochrom\w*|sepia|dark|bright|pale|vivid|neon|pastel)\b",
    re.IGNORECASE,
)
"""English words for colours and for light; a word too many costs little, one too few teaches falsehood."""

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in brightness; ITU-R BT.601."""


def names_colour(caption: str) -> bool:
    """Whether a caption says what colour something has."""
    return COLOUR_WORDS.search(caption) is not None


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1], like the images given.

    factors: (B, 3) on brightness, on contrast around the picture's mean brightness, and on saturation around
    each pixel's own, in this order; each result is clipped. Rows whose factors are all 1 stay as they are."""
    changed = (factors != 1).any(1).to(images.device)
    brightness, contrast, saturation = factors.to(images)[changed, :, None, None, None].unbind(
        1
    )  # (M, 1, 1, 1)
    light = images[changed].add_(1).mul_(brightness / 2).clamp_(0, 1)
    mean = _luma(light).mean((2, 3), keepdim=True)
    light.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 1)
    grey = _luma(light)
    light.mul_(saturation).add_(grey.mul_(1 - saturation)).clamp_(0, 1)
    result = images.clone()
    result[changed] = light.mul_(2).sub_(1)
    return result


def _luma(light: Tensor) -> Tensor:
    """(B, 1, H, W)."""
    red, green, blue = light.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
