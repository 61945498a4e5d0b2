"""What a pretrained text encoder is worth: what it finds, tells and fills in on pictures that nobody learned
from, each against the best answer that does not look."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.retrieval import r_at_1

GROUP = 64
"""Pictures among which a caption's own one is looked for."""
CHUNK = 64
"""Pictures at a time: bounds memory."""


def understanding(
    folder: Path,
    table: Path,
    uids: Sequence[str],
    pictures: NDArray[np.uint8],
    captions: Sequence[str],
    device: str,
    seed: int,
    check: Callable[[], None],
) -> dict[str, Any]:
    """What a model of the text objective makes of pictures and captions, as far as it learned to.

    Args:
        folder: of the model.
        table: of labels, with a column `uid`; columns that it lacks are not measured.
        uids: of the N rows.
        pictures: (N, S, S, 3) uint8, of the size that the model learned from.
        captions: one a picture.
        device: "cpu", "cuda" or "auto".
        seed: of which tokens are hidden, and of the noise.
        check: called between some pictures and the next; may raise.

    Returns:
        {"rows"}; {"r_at_1", "of": pictures in a group}; {"labels": column -> right, constant, rows},
        {"masked": right, constant, places}, {"next": ...}, shares [0, 1] of right predictions and of those
        that the commonest truth of these very rows would have right; {"flips": share of predictions that the
        noise of its training turns, of pictures and labels where it predicts any}. What it did not learn is
        left out.
    """
    import torch

    from sdmodel.data.batch import Batch
    from sdmodel.data.pixels import to_float
    from sdmodel.device import resolve_device
    from sdmodel.pretrain.folder import load
    from sdmodel.pretrain.label_statistics import LabelStatistics

    place = torch.device(resolve_device(device))
    model = load(folder, table).to(place)
    # Of each place of a head's predictions: of next, each direction.
    statistics: dict[str, dict[int, LabelStatistics]] = {}
    flips = torch.zeros(2, dtype=torch.float64)
    seen: list[list[NDArray[np.float32]]] = [[], []]
    generator = torch.Generator(place)
    with torch.no_grad():
        for start in range(0, len(uids), CHUNK):
            check()
            rows = slice(start, start + CHUNK)
            pixels = to_float(pictures[rows]).permute(0, 3, 1, 2).contiguous()
            count = len(pixels)
            batch = Batch(
                images=pixels,
                captions=list(captions[rows]),
                uids=list(uids[rows]),
                index=torch.arange(start, start + count),
                size=count,
                start=0,
            ).to(place)
            outputs = model.predict(batch, generator.manual_seed(seed + start))
            if outputs.image is not None and outputs.text is not None:
                seen[0].append(outputs.image.float().cpu().numpy())
                seen[1].append(outputs.text.float().cpu().numpy())
            if outputs.flips is not None:
                flips += outputs.flips.cpu()
            for name, heads in outputs.clean.items():
                if name == "contrastive":  # measured by r_at_1, among as many pictures each time
                    continue
                names = [f"labels {column}" for column in model.columns()] if name == "labels" else [name]
                for number, predictions in enumerate(heads):
                    own = statistics.setdefault(names[number % len(names)], {})
                    own.setdefault(number, LabelStatistics()).add(predictions)
    found: dict[str, Any] = {"rows": len(uids)}
    if seen[0]:
        of = min(GROUP, len(uids))
        found |= {"r_at_1": round(r_at_1(np.concatenate(seen[0]), np.concatenate(seen[1]), of), 4), "of": of}
    for name, own in statistics.items():
        count = sum(head.count for head in own.values())
        if not count:
            continue
        counted = [head for head in own.values() if head.count]
        right = sum(head.right * head.count for head in counted) / count
        constant = sum(head.constant * head.count for head in counted) / count
        figures = {"right": round(right, 4), "constant": round(constant, 4), "of": count}
        if name.startswith("labels "):
            found.setdefault("labels", {})[name.removeprefix("labels ")] = figures
        else:
            found[name] = figures
    if flips[1]:
        found["flips"] = round(float(flips[0] / flips[1]), 4)
    return found
