"""A head's predictions, and how they are measured: by the truth, and by other predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Predictions:
    """Predictions for P places of each of B rows, of C classes or of C tags."""

    logits: Tensor
    """(B, P, C) float32."""
    truth: Tensor
    """(B, P) int64, the classes; or (B, P, C) float32, 1 for each tag that is there."""
    there: Tensor
    """(B, P) bool: places that something is predicted for."""
    known: Tensor
    """(B, P) bool: those of them whose truth is known; elsewhere `truth` holds anything valid."""
    constant: Tensor
    """The best constant prediction (majority class baseline): () int64 class, or (C,) float32 tags."""

    @property
    def tags(self) -> bool:
        """Whether any number of the C may be true at once."""
        return self.truth.ndim == 3

    @property
    def chosen(self) -> Tensor:
        """The prediction: (B, P) int64 classes, or (B, P, C) float32 tags."""
        return (self.logits > 0).float() if self.tags else self.logits.argmax(-1)


def cross_entropy(head: Predictions) -> Tensor:
    """(B,) float32 cross-entropy, of tags binary and their mean: mean over a row's known places, 0 where it
    has none. Gradients are defined there too."""
    if head.tags:
        each = F.binary_cross_entropy_with_logits(head.logits, head.truth, reduction="none").mean(-1)
    else:
        each = F.cross_entropy(head.logits.transpose(1, 2), head.truth, reduction="none")
    return _row_means(each, head.known)


def divergence(clean: Predictions, disturbed: Predictions) -> Tensor:
    """(B,) float32 Kullback-Leibler divergence of the disturbed predictions from the clean ones, mean over a
    row's places; nothing is learned of the clean ones."""
    p, q = (_log_odds(head) for head in (clean, disturbed))  # (B, P, C), of tags (B, P, C, 2)
    each = F.kl_div(q, p.detach(), reduction="none", log_target=True).sum(-1)
    return _row_means(each.mean(-1) if clean.tags else each, clean.there)


def count_flips(clean: Sequence[Predictions], disturbed: Sequence[Predictions]) -> Tensor:
    """(2,) float64: predictions that differ, and predictions in all."""
    pairs = zip(clean, disturbed, strict=True)
    return torch.stack([_counted(a.chosen != b.chosen, a.there) for a, b in pairs]).sum(0)


def count_right(heads: Sequence[Predictions]) -> Tensor:
    """(2,) float64: predictions that are true, and those whose truth is known."""
    return torch.stack([_counted(head.chosen == head.truth, head.known) for head in heads]).sum(0)


def count_constant_right(heads: Sequence[Predictions]) -> Tensor:
    """(2,) float64: the same of each head's constant prediction."""
    return torch.stack([_counted(head.truth == head.constant, head.known) for head in heads]).sum(0)


def _log_odds(head: Predictions) -> Tensor:
    """Logarithms of probabilities, of the classes or of each tag and its absence."""
    if head.tags:
        return torch.stack([F.logsigmoid(head.logits), F.logsigmoid(-head.logits)], dim=-1)
    return head.logits.log_softmax(-1)


def _row_means(each: Tensor, where: Tensor) -> Tensor:
    """(B,): mean of (B, P) where `where` is true, 0 in rows where it never is."""
    return (each * where).sum(1) / where.sum(1).clamp(min=1)


def _counted(values: Tensor, where: Tensor) -> Tensor:
    """(2,) float64: how often `values` is true where `where` is, and how often that is."""
    wide = where[..., None].expand_as(values) if values.ndim > where.ndim else where
    return torch.stack([(values & wide).sum(), wide.sum()]).double()
