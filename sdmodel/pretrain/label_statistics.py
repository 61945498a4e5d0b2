"""Predictions counted over batches, and the best constant prediction of all that were asked."""

import torch
from torch import Tensor

from sdmodel.pretrain.predictions import Answer


class Tally:
    """Of one head."""

    def __init__(self) -> None:
        self.count = 0
        """Predictions whose truth is known; of tags, each tag of each row."""
        self._right = 0
        self._truths: Tensor | None = None
        self._rows = 0
        self._tags = False

    def add(self, answer: Answer) -> None:
        """Counts in a batch's answers."""
        known, truth = answer.known, answer.truth[answer.known]
        self._right += int((answer.chosen[known] == truth).sum())
        self.count += truth.numel()
        self._rows += len(truth)
        self._tags = answer.tags
        counts = truth.sum(0) if answer.tags else torch.bincount(truth, minlength=answer.logits.shape[-1])
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
