"""Pictures that no caption asks for: of a generator, and of an autoencoder whose latents are drawn."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact
from stages.config.evaluate import EvaluateConfig
from stages.evaluate.drawings import SHOWN, draw_samples
from stages.evaluate.image_features import distance
from stages.evaluate.images import pictures_of
from stages.evaluate.oracle import unconditional_verdicts
from stages.evaluate.prompts import prompts_of
from stages.evaluate.samples import sample
from stages.output import Output

FITTED = 512
"""Pictures of the train split that a Gaussian is fitted to the latents of."""


def from_generator(
    model: Artifact,
    dataset: Artifact,
    split: str,
    encoders: tuple[Artifact, ...],
    config: EvaluateConfig,
    out: Output,
    report: dict[str, Any],
) -> int:
    """Fill the report of a generator; return how many images were sampled. ValueError: none is to be."""
    folder = model.lay("model/", out.folder / "model")

    @cache
    def load() -> Any:
        from sdmodel.device import resolve_device
        from sdmodel.gan.folder import load as load_gan

        return load_gan(folder, resolve_device(config.device))

    images = _drawn(model, dataset, load, config, out, {})
    report["discriminator"] = _discriminator(folder, images, dataset, split, config)
    if config.oracle:
        report["oracle"] = unconditional_verdicts(images)
    for each in encoders:
        report["frechet"] = distance(each, images, dataset, split, config.device, out)
    shown = images[:SHOWN]
    report["nearest"] = draw_samples(shown, [""] * len(shown), dataset, out)
    return len(images)


def from_prior(
    model: Artifact, dataset: Artifact, folder: Path, config: EvaluateConfig, out: Output
) -> dict[str, float]:
    """What the oracle finds in pictures of latents that are drawn; see `EvaluateConfig.prior`."""

    @cache
    def load() -> Any:
        from sdmodel.autoencoder.prior import PriorSampler
        from sdmodel.data.pixels import to_float
        from sdmodel.device import resolve_device
        from sdmodel.latents.autoencoder import load_autoencoder

        vae = load_autoencoder(folder, resolve_device(config.device))
        size = int(model.json("model/config.json")["sample_size"])
        images, _ = pictures_of(dataset, "train", FITTED, size)
        pixels = to_float(images).permute(0, 3, 1, 2).contiguous()
        return PriorSampler(vae, pixels, fitted=config.prior == "fitted")

    return unconditional_verdicts(_drawn(model, dataset, load, config, out, {"prior": config.prior}))


def _discriminator(
    folder: Path, images: NDArray[np.uint8], dataset: Artifact, split: str, config: EvaluateConfig
) -> dict[str, Any]:
    """How often the discriminator is right on pictures of a split and on samples."""
    from sdmodel.data.pixels import to_float
    from sdmodel.device import resolve_device
    from sdmodel.gan.folder import judged_right

    pictures, _ = pictures_of(dataset, split, len(images), images.shape[1])
    real, fake = (to_float(each).permute(0, 3, 1, 2).contiguous() for each in (pictures, images))
    shares = judged_right(folder, real, fake, resolve_device(config.device))
    rounded = {name: round(share, 4) for name, share in shares.items()}
    return {**rounded, "rows": len(pictures), "samples": len(images), "split": split}


def _drawn(
    model: Artifact,
    dataset: Artifact,
    load: Any,
    config: EvaluateConfig,
    out: Output,
    depends: dict[str, Any],
) -> NDArray[np.uint8]:
    """(N, S, S, 3), as many as the oracle is to see, else as are to be sampled."""
    if config.oracle == "two":
        raise ValueError(
            'evaluate.oracle="two" reads what captions ask for, and this model reads none; take "demo" on '
            "pictures of one object, or leave it out"
        )
    count = config.oracle_samples if config.oracle else config.samples
    if not count:
        raise ValueError("evaluate.samples=0: nothing would be drawn; ask for some")
    prompts = prompts_of(dataset.table("index"), (), [""] * count, 0, config.seed)
    # What a latent is drawn from depends on the pictures of the dataset, where it is fitted to them.
    name = f"{model.digest} {dataset.digest}" if depends.get("prior") == "fitted" else model.digest
    return sample(prompts, name, load, config, out, depends)
