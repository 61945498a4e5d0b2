"""Pictures of a split as a frozen image encoder sees them."""

from pathlib import Path
from typing import Any

import numpy as np

from stages.artifacts.artifact import Artifact
from stages.output import Output

CHUNK = 64
"""Pictures that are seen at once: bounds memory."""


def features_of(folder: Path, dataset: Artifact, split: str, device: str, out: Output) -> Any:
    """A tensor (N, F) float32 of all pictures of a split, in the index's order."""
    import torch

    from sdmodel.data.index import read_index
    from sdmodel.data.pictures import Pictures
    from sdmodel.data.pixels import to_float
    from sdmodel.device import resolve_device
    from sdmodel.selfsupervised.encoder import load

    place = resolve_device(device)
    encoder = load(folder).to(place)
    tars = {name: dataset.path(name) for name in dataset.names("shards/") if name.endswith(".tar")}
    index = read_index(dataset.path("index.parquet"), tars, split)
    pictures, parts = Pictures(index, encoder.size), []
    for start in range(0, len(index), CHUNK):
        out.check()
        out.progress(start, len(index), f"features of the {split} split")
        pixels = pictures.read(np.arange(start, min(start + CHUNK, len(index))))  # (M, 3, S, S)
        with torch.no_grad():
            parts.append(encoder(to_float(pixels).to(place)).float().cpu())
    return torch.cat(parts)
