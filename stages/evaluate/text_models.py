"""What a pretrained text encoder is worth: what it retrieves, classifies and fills in on pictures that nobody
learned from, each against the best answer that does not look."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.retrieval import r_at_1

if TYPE_CHECKING:
    from sdmodel.pretrain.label_statistics import LabelStatistics
    from sdmodel.pretrain.model import HeadOutputs

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

    place = torch.device(resolve_device(device))
    model = load(folder, table).to(place)
    sums = _Sums()
    with torch.no_grad():
        for start in range(0, len(uids), CHUNK):
            check()
            rows = slice(start, start + CHUNK)
            pixels = to_float(pictures[rows]).permute(0, 3, 1, 2).contiguous()
            batch = Batch(
                images=pixels,
                captions=list(captions[rows]),
                uids=list(uids[rows]),
                index=torch.arange(start, start + len(pixels)),
                size=len(pixels),
                start=0,
                seed=seed,
            ).to(place)
            sums.add(model.predict(batch), model.columns())
    return {"rows": len(uids), **sums.figures()}


class _Sums:
    """Sums over the predictions of pictures, batch by batch."""

    def __init__(self) -> None:
        self.images: list[NDArray[np.float32]] = []
        self.texts: list[NDArray[np.float32]] = []
        self.flips = np.zeros(2)
        self.statistics: dict[str, dict[int, LabelStatistics]] = {}
        """Of each place of a head's predictions: of next, each direction."""

    def add(self, outputs: "HeadOutputs", columns: Sequence[str]) -> None:
        """Take in a batch's predictions; `columns` are those of the labels."""
        from sdmodel.pretrain.label_statistics import LabelStatistics

        if outputs.image is not None and outputs.text is not None:
            self.images.append(outputs.image.float().cpu().numpy())
            self.texts.append(outputs.text.float().cpu().numpy())
        if outputs.flips is not None:
            self.flips += outputs.flips.cpu().numpy()
        for name, heads in outputs.clean.items():
            if name == "contrastive":  # measured by r_at_1, among as many pictures each time
                continue
            names = [f"labels {column}" for column in columns] if name == "labels" else [name]
            for number, predictions in enumerate(heads):
                own = self.statistics.setdefault(names[number % len(names)], {})
                own.setdefault(number, LabelStatistics()).add(predictions)

    def figures(self) -> dict[str, Any]:
        """What `understanding` returns, but for the rows."""
        figures: dict[str, Any] = {}
        if self.images:
            images, texts = np.concatenate(self.images), np.concatenate(self.texts)
            of = min(GROUP, len(images))
            figures |= {"r_at_1": round(r_at_1(images, texts, of), 4), "of": of}
        for name, own in self.statistics.items():
            count = sum(head.count for head in own.values())
            if not count:
                continue
            counted = [head for head in own.values() if head.count]
            right = sum(head.right * head.count for head in counted) / count
            constant = sum(head.constant * head.count for head in counted) / count
            shares = {"right": round(right, 4), "constant": round(constant, 4), "of": count}
            if name.startswith("labels "):
                figures.setdefault("labels", {})[name.removeprefix("labels ")] = shares
            else:
                figures[name] = shares
        if self.flips[1]:
            figures["flips"] = round(float(self.flips[0] / self.flips[1]), 4)
        return figures
