"""Label statistics: right predictions counted over batches, and the best constant prediction."""

import torch
from torch import Tensor

from sdmodel.pretrain.predictions import Predictions


class LabelStatistics:
    """The accuracy of one head, and of the best constant prediction."""

    def __init__(self) -> None:
        self.count = 0
        """Predictions whose truth is known; of tags, each tag of each row."""
        self._right = 0
        self._truths: Tensor | None = None
        self._rows = 0
        self._tags = False

    def add(self, predictions: Predictions) -> None:
        """Counts in a batch's predictions."""
        known, truth = predictions.known, predictions.truth[predictions.known]
        self._right += int((predictions.chosen[known] == truth).sum())
        self.count += truth.numel()
        self._rows += len(truth)
        self._tags = predictions.tags
        counts = (
            truth.sum(0)
            if predictions.tags
            else torch.bincount(truth, minlength=predictions.logits.shape[-1])
        )
        self._truths = counts if self._truths is None else self._truths + counts

    @property
    def right(self) -> float:
        """Share of right predictions, [0, 1]; something must be counted."""
        return self._right / self.count

    @property
    def constant(self) -> float:
        """Share that the best constant prediction has right: the commonest class, or for each tag whether
        most rows have it."""
        assert self._truths is not None
        if not self._tags:
            return float(self._truths.max()) / self.count
        return float(torch.maximum(self._truths, self._rows - self._truths).sum()) / self.count
