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


class ImageFeatures:
    """A frozen encoder that gives pooled features of pictures; see
    `sdmodel.selfsupervised.encoder.ImageEncoder`."""

    def __init__(self, folder: Path, device: str) -> None:
        """folder: of the encoder. device: "cpu", "cuda" or "auto"."""
        from sdmodel.device import resolve_device
        from sdmodel.selfsupervised.encoder import load

        self._place = resolve_device(device)
        self._encoder = load(folder).to(self._place)

    @property
    def size(self) -> int:
        """Pixels to a side of the pictures that it learned from, as which all are seen."""
        return self._encoder.size

    def __call__(self, pictures: NDArray[np.uint8]) -> Any:
        """A tensor (N, F) float32 on the CPU, of (N, S, S, 3) uint8."""
        import torch
        from torch.nn import functional as F

        from sdmodel.data.pixels import to_float

        rows: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(pictures), CHUNK):
                pixels = to_float(pictures[start : start + CHUNK]).permute(0, 3, 1, 2).contiguous()
                if pixels.shape[-1] != self.size:
                    pixels = F.interpolate(pixels, self.size, mode="bilinear", antialias=True)
                rows.append(self._encoder(pixels.to(self._place)).float().cpu())
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
    features = ImageFeatures(encoder.lay("model/", out.folder / "encoder"), device)
    drawn, real = features(samples), features(pictures)
    return {
        "distance": round(frechet_distance(drawn, real), 5),
        "encoder": short_hash(encoder.digest),
        "features": drawn.shape[1],
        "samples": len(samples),
        "pictures": len(pictures),
        "split": split,
    }
