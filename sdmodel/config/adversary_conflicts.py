"""Values of a config that cannot be together where players learn against each other."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sdmodel.config.limits import Mistake

if TYPE_CHECKING:
    from sdmodel.config.train import TrainConfig

COARSEST = 4
"""Pixels to a side of a generator's coarsest level."""
LAST_LAYER = "vae.decoder.conv_out.weight"
"""At which the autoencoder's losses are weighed against each other."""
LPIPS_LEAST = 16
"""Pixels to a side of the smallest pictures that LPIPS sees."""


def autoencoder_conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Of the autoencoder objective: losses of what is not there, and sizes that they do not fit."""
    own = config.autoencoder
    if own.perceptual and bool(config.encoder) == bool(own.lpips):
        yield config.mistake(
            "name what sees pictures for the perceptual loss, and name one alone",
            *("autoencoder.perceptual", "encoder", "autoencoder.lpips"),
        )
    if config.encoder and not own.perceptual:
        yield config.mistake(
            "nothing would see pictures by this encoder; set autoencoder.perceptual above 0, or leave it out",
            *("encoder", "autoencoder.perceptual"),
        )
    smallest = min(size for size, _ in config.stages)
    if own.lpips and smallest < LPIPS_LEAST:
        yield config.mistake(
            f"LPIPS halves sides four times; take pictures of {LPIPS_LEAST} pixels and more",
            *("autoencoder.lpips", "size"),
        )
    if not own.adversary.weight:
        return
    if smallest < own.adversary.least:
        yield config.mistake(
            f"its patches are larger than pictures of {smallest} pixels; take fewer layers, or pictures of "
            f"{own.adversary.least} pixels and more",
            *("autoencoder.adversary.layers", "size"),
        )
    if config.fsdp:
        yield config.mistake(
            "weights in parts cannot stand still in another player's turn; set fsdp to false",
            *("fsdp", "autoencoder.adversary.weight"),
        )
    still = any(LAST_LAYER.startswith(prefix) for prefix in config.optimizer.frozen)
    if still or config.lora.rank:
        yield config.mistake(
            f"the adversary counts as much as its gradient at {LAST_LAYER}, which does not learn here; let "
            "it learn, or leave the adversary out",
            *("autoencoder.adversary.weight", "optimizer.frozen", "lora.rank"),
        )


def gan_conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Of the gan objective."""
    for key, several in {"data.buckets": config.data.buckets > 1, "sizes": bool(config.sizes)}.items():
        if several:
            yield config.mistake(
                f"the networks have layers for squares of one size; leave {key} out", "objective", key
            )
    doubled = config.size // COARSEST
    if config.size < 2 * COARSEST or config.size % COARSEST or doubled & (doubled - 1):
        yield config.mistake("sides are doubled from 4 on; take 8, 16, 32 or a further double", "size")
    if config.optimizer.kind not in ("auto", "adamw"):
        yield config.mistake("players learn by AdamW alone; leave it out", "optimizer.kind", "objective")
    if config.validation.patience:
        yield config.mistake(
            "a discriminator's loss does not say how good pictures are; leave patience out",
            *("validation.patience", "objective"),
        )
    if config.fsdp:
        yield config.mistake(
            "weights in parts cannot stand still in another player's turn; set fsdp to false",
            *("fsdp", "objective"),
        )
