"""Pictures as a frozen image encoder of ours sees them, and how far drawn ones are from real ones in that."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact
from stages.evaluate.images import pictures_of
from stages.fingerprint import short_hash
from stages.output import Output

CHUNK = 64
"""Pictures at a time: bounds memory."""


def image_features(folder: Path, pictures: NDArray[np.uint8], device: str) -> Any:
    """Pooled features of pictures, a tensor (N, F) float32 on the CPU; see
    `sdmodel.selfsupervised.encoder.ImageEncoder`.

    Args:
        folder: of the encoder.
        pictures: (N, S, S, 3) uint8; they are seen at the size that the encoder has learned from.
        device: "cpu", "cuda" or "auto".
    """
    import torch
    from torch.nn import functional as F

    from sdmodel.data.pixels import to_float
    from sdmodel.device import resolve_device
    from sdmodel.selfsupervised.encoder import load

    place = resolve_device(device)
    encoder = load(folder).to(place)
    rows: list[Any] = []
    with torch.no_grad():
        for start in range(0, len(pictures), CHUNK):
            pixels = to_float(pictures[start : start + CHUNK]).permute(0, 3, 1, 2).contiguous()
            if pixels.shape[-1] != encoder.size:
                pixels = F.interpolate(pixels, encoder.size, mode="bilinear", antialias=True)
            rows.append(encoder(pixels.to(place)).cpu())
    return torch.cat(rows)


def distance(
    encoder: Artifact,
    samples: NDArray[np.uint8],
    dataset: Artifact,
    split: str,
    device: str,
    out: Output,
) -> dict[str, Any] | None:
    """The Frechet distance of samples from the pictures of a split; None where either are fewer than 2.

    Returns:
        {"distance": >= 0, "encoder": beginning of its digest, "features": how many, "samples", "pictures":
        of which there are so many, "split"}.
    """
    from sdmodel.evaluate.frechet import frechet_distance

    if len(samples) < 2 or (dataset.table("index")["split"] == split).sum() < 2:
        return None
    pictures, _ = pictures_of(dataset, split, 0, samples.shape[1])
    out.progress(0, 1, f"features of {len(samples)} samples and {len(pictures)} pictures")
    folder = encoder.lay("model/", out.folder / "encoder")
    drawn, real = (image_features(folder, images, device) for images in (samples, pictures))
    return {
        "distance": round(frechet_distance(drawn, real), 5),
        "encoder": short_hash(encoder.digest),
        "features": drawn.shape[1],
        "samples": len(samples),
        "pictures": len(pictures),
        "split": split,
    }
