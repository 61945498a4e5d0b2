"""The learning rate as a function of images seen."""

import math

from sdmodel.config.train import TrainConfig


def rate(images: int, config: TrainConfig) -> float:
    """Factor on every learning rate, [0, 1], for the step that begins after `images` images.

    It rises linearly over `optimizer.warmup` images and falls by `optimizer.decay` to 0 at `config.images`;
    "constant" stays. Defazio et al. 2023, arXiv:2310.07831, find linear decay the best of the usual ones."""
    rise = min(1.0, (images + 1) / (config.optimizer.warmup + 1))
    left = max(0.0, 1 - images / config.images)
    match config.optimizer.decay:
        case "linear":
            return rise * left
        case "cosine":
            return rise * (1 - math.cos(math.pi * left)) / 2
        case "constant":
            return rise
