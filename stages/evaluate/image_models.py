"""What models of pictures alone are worth: how an autoencoder gives pictures back, what an image encoder
tells apart."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.retrieval import r_at_1

GROUP = 64
"""Pictures among which a picture is to be known again."""
CHUNK = 64
"""Pictures at a time: bounds memory."""
SHOWN_AREA = 0.7
"""Of its area, so much of a picture is shown the second time, mirrored."""


def reconstruction(
    folder: Path, pictures: NDArray[np.uint8], device: str, encoder: Path | None = None
) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """How far pictures are from what an autoencoder gives back.

    Args:
        folder: of a diffusers AutoencoderKL.
        pictures: (N, S, S, 3) uint8.
        device: "cpu", "cuda" or "auto".
        encoder: folder of an image encoder in whose maps pictures are compared as well; None: they are not.

    Returns:
        {"mse", "rmse", "mae", "r2" of pixels in [-1, 1]; "psnr" in dB; "ssim", structural similarity; and
        with an encoder "perceptual", the mean distance in its maps}, and the pictures given back from the
        mean of their latents.
    """
    import torch

    from sdmodel.autoencoder.perceptual import perceptual_distance
    from sdmodel.data.pixels import to_float, to_uint8
    from sdmodel.device import resolve_device
    from sdmodel.evaluate.regression import error_sums, figures
    from sdmodel.evaluate.ssim import ssim
    from sdmodel.latents.autoencoder import load_autoencoder

    place = torch.device(resolve_device(device))
    model = load_autoencoder(folder, place)
    distance = perceptual_distance(encoder).to(place) if encoder else None
    sums: dict[str, Any] = {}
    similar, apart = 0.0, 0.0
    back: list[NDArray[np.uint8]] = []
    for start in range(0, len(pictures), CHUNK):
        pixels = to_float(pictures[start : start + CHUNK]).permute(0, 3, 1, 2).contiguous()
        mean = model.moments(pixels).chunk(2, dim=1)[0]
        decoded = model.decode(mean).clamp(-1, 1).cpu()
        times = torch.zeros(len(pixels), dtype=torch.int64)
        for name, value in error_sums(decoded, pixels, times, 1).items():
            sums[name] = sums[name] + value if name in sums else value
        similar += float(ssim(decoded, pixels).sum())
        if distance:
            with torch.no_grad():
                apart += float(distance(decoded.to(place), pixels.to(place)).double().sum())
        back.append(to_uint8(decoded).permute(0, 2, 3, 1).numpy())
    errors = figures(sums)
    errors["psnr"] = 10 * math.log10(4 / max(errors["mse"], 1e-12))  # a pixel spans 2
    errors["ssim"] = similar / len(pictures)
    if distance:
        errors["perceptual"] = apart / len(pictures)
    return {name: round(value, 5) for name, value in errors.items()}, np.concatenate(back)


def recognition(folder: Path, pictures: NDArray[np.uint8], device: str) -> dict[str, float]:
    """How often an image encoder knows a picture again, cropped and mirrored, among others.

    Args:
        folder: of a self-supervised encoder of ours.
        pictures: (N, S, S, 3) uint8, at least 2.
        device: "cpu", "cuda" or "auto".

    Returns:
        {"r_at_1": share [0, 1], "of": pictures in a group, "rows"}.
    """
    import torch
    from torch.nn import functional as F

    from sdmodel.data.pixels import to_float
    from sdmodel.device import resolve_device
    from sdmodel.selfsupervised.encoder import load

    place = resolve_device(device)
    model = load(folder).to(place)
    side = pictures.shape[1]
    edge = round(side * (1 - math.sqrt(SHOWN_AREA)) / 2)
    seen: list[list[NDArray[np.float32]]] = [[], []]
    with torch.no_grad():
        for start in range(0, len(pictures), CHUNK):
            pixels = to_float(pictures[start : start + CHUNK]).permute(0, 3, 1, 2).contiguous()
            part = pixels[:, :, edge : side - edge, edge : side - edge].flip(-1)
            again = F.interpolate(part, (side, side), mode="bilinear", align_corners=False)
            for embeddings, shown in zip(seen, (pixels, again), strict=True):
                embeddings.append(F.normalize(model(shown.to(place)), dim=1).cpu().numpy())
    of = min(GROUP, len(pictures))
    recall = r_at_1(np.concatenate(seen[0]), np.concatenate(seen[1]), of)
    return {"r_at_1": round(recall, 4), "of": of, "rows": len(pictures) // of * of}
