"""The text objective: a text encoder is pretrained, before it conditions a denoiser."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sdmodel.config.text import columns_of
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.pretrain import folder as folders
from sdmodel.pretrain.labels import Labels, label_teaches
from sdmodel.pretrain.model import Pretraining
from sdmodel.pretrain.predictions import Predictions, count_constant_right, count_right
from sdmodel.text import build
from sdmodel.text.lengths import CaptionReader
from sdmodel.transfer import sent

PREDICTION_NAMES = {"contrastive": "retrieved"}
"""How a loss's predictions are called, where that is not its own name."""


class TextObjective:
    """Trains a text encoder; `save` writes its folder, to be a denoiser's `text.start`."""

    sample = None
    players = ()

    def __init__(
        self,
        config: TrainConfig,
        captions: list[str],
        labels: Path | None = None,
        start: Path | None = None,
        uids: Collection[str] | None = None,
    ):
        """Args:
            config: pretrain says what is learned.
            captions: of the training split.
            labels: table of uids and labels.
            start: folder of a text encoder, whose weights are the first; None: random ones.
            uids: of the rows to learn from; None: all in the table of labels.

        ValueError: nothing is to be learned, or not by this encoder; something that is needed is not there.
        """
        self.config = config
        encoder = build.load(start, config.text, captions) if start else build.learn(config.text, captions)
        self._captions, self._labels = captions, _labels(config, labels, uids)
        self.modules = Pretraining(config, encoder, captions, self._labels)

    @property
    def heavy(self) -> list[nn.Module]:
        """The image tower; of the encoder, other parts than `forward` are called too."""
        return [self.modules.pairing.tower] if self.modules.pairing else []

    @property
    def whole_batch(self) -> bool:
        """Where pictures and captions are compared."""
        return self.config.pretrain.contrastive > 0

    @property
    def readers(self) -> list[CaptionReader]:
        """What reads captions."""
        return [self.modules.encoder]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """The losses, of all labels. Beside them, each as a sum and the number that it is of: predictions
        that are right ("labels_right", "masked_right", "next_right"; "retrieved_right": of captions, whose
        own picture is the first in the batch), those that one constant prediction would have right
        ("labels_constant", ...), and where there is noise, those that it turns ("flips", see `HeadOutputs`).
        Where part of the labels teach, "labels_taught_right" is of those rows alone, the ones to be learned
        by heart."""
        outputs = self.modules.predict(batch)
        losses = self.modules.losses(outputs, batch)
        sums = {name: loss.double() * len(batch) for name, loss in losses.items()}
        for loss, heads in outputs.clean.items():
            name = PREDICTION_NAMES.get(loss, loss)
            sums[f"{name}_right"], sums[f"{name}_constant"] = count_right(heads), count_constant_right(heads)
        if "labels" in outputs.clean and self.config.pretrain.labelled < 1:
            sums["labels_taught_right"] = count_right(self._taught(outputs.clean["labels"], batch))
        return sums if outputs.flips is None else {**sums, "flips": outputs.flips}

    def enough(self, figures: Mapping[str, float]) -> bool:
        """Whether a validation's figures end the training: few enough predictions turn under noise, and
        they are better than a constant prediction, which never turns."""
        most = self.config.pretrain.flips
        if not most or figures["validation/ema/flips"] > most:
            return False
        names = [PREDICTION_NAMES.get(name, name) for name in self.modules.counted]
        better = [
            figures[f"validation/ema/{name}_right"] > figures[f"validation/ema/{name}_constant"]
            for name in names
        ]
        return all(better)

    def _taught(self, heads: Sequence[Predictions], batch: Batch) -> list[Predictions]:
        """The same of those rows alone whose labels teach."""
        share = self.config.pretrain.labelled
        rows = torch.tensor([[label_teaches(uid, share)] for uid in batch.uids])
        return [replace(head, known=head.known & sent(rows, head.known.device)) for head in heads]

    def start(self, folder: Path) -> None:
        """Goes on from a folder that `save` wrote: the encoder, and the heads and the tower as far as both
        have them. ValueError: it holds another kind or shape."""
        folders.read_about(folder)
        encoder = build.load(folder, self.config.text, self._captions)
        self.modules = Pretraining(self.config, encoder, self._captions, self._labels)
        folders.load_heads(self.modules, folder)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the folder, see folder.py."""
        folders.save(folder, self.modules, self.config, weights)


def _labels(config: TrainConfig, table: Path | None, uids: Collection[str] | None) -> Labels:
    """ValueError: labels are to be learned, and there are none."""
    pretrain = config.pretrain
    if not pretrain.labels:
        return Labels({}, {})
    names = columns_of(pretrain)
    if not names or not table:
        raise ValueError(
            f"pretrain.labels={pretrain.labels}: name the columns that hold them in pretrain.columns, or a "
            "table of clusters in pretrain.clusters"
        )
    return Labels.read(table, names, pretrain.labelled, rows=uids)
