"""What a head predicts, and how its predictions are judged: by the truth, and by other predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Answer:
    """Predictions for P places of each of B rows, of C classes or of C tags."""

    logits: Tensor
    """(B, P, C) float32."""
    truth: Tensor
    """(B, P) int64, the classes; or (B, P, C) float32, 1 for each tag that is there."""
    there: Tensor
    """(B, P) bool: places that something is predicted for."""
    known: Tensor
    """(B, P) bool: those of them whose truth is known; elsewhere `truth` holds anything valid."""
    guess: Tensor
    """The best guess without looking: () int64 class, or (C,) float32 tags."""

    @property
    def tags(self) -> bool:
        """Whether any number of the C may be true at once."""
        return self.truth.ndim == 3

    @property
    def chosen(self) -> Tensor:
        """The prediction: (B, P) int64 classes, or (B, P, C) float32 tags."""
        return (self.logits > 0).float() if self.tags else self.logits.argmax(-1)


def error(answer: Answer) -> Tensor:
    """(B,) float32 cross-entropy, of tags binary and their mean: mean over a row's known places, 0 where it
    has none. Gradients are defined there too."""
    if answer.tags:
        each = F.binary_cross_entropy_with_logits(answer.logits, answer.truth, reduction="none").mean(-1)
    else:
        each = F.cross_entropy(answer.logits.transpose(1, 2), answer.truth, reduction="none")
    return _row_means(each, answer.known)


def divergence(clean: Answer, disturbed: Answer) -> Tensor:
    """(B,) float32 Kullback-Leibler divergence of the disturbed predictions from the clean ones, mean over a
    row's places; nothing is learned of the clean ones."""
    p, q = (_log_odds(answer) for answer in (clean, disturbed))  # (B, P, C), of tags (B, P, C, 2)
    each = F.kl_div(q, p.detach(), reduction="none", log_target=True).sum(-1)
    return _row_means(each.mean(-1) if clean.tags else each, clean.there)


def flipped(clean: Sequence[Answer], disturbed: Sequence[Answer]) -> Tensor:
    """(2,) float64: predictions that differ, and predictions in all."""
    pairs = zip(clean, disturbed, strict=True)
    return torch.stack([_counted(one.chosen != other.chosen, one.there) for one, other in pairs]).sum(0)


def right(answers: Sequence[Answer]) -> Tensor:
    """(2,) float64: predictions that are true, and those whose truth is known."""
    return torch.stack([_counted(one.chosen == one.truth, one.known) for one in answers]).sum(0)


def guessed(answers: Sequence[Answer]) -> Tensor:
    """(2,) float64: the same of each one's guess without looking."""
    return torch.stack([_counted(one.truth == one.guess, one.known) for one in answers]).sum(0)


def _log_odds(answer: Answer) -> Tensor:
    """Logarithms of probabilities, of the classes or of each tag and its absence."""
    if answer.tags:
        return torch.stack([F.logsigmoid(answer.logits), F.logsigmoid(-answer.logits)], dim=-1)
    return answer.logits.log_softmax(-1)


def _row_means(each: Tensor, where: Tensor) -> Tensor:
    """(B,): mean of (B, P) where `where` is true, 0 in rows where it never is."""
    return (each * where).sum(1) / where.sum(1).clamp(min=1)


def _counted(held: Tensor, where: Tensor) -> Tensor:
    """(2,) float64: how often `held` is true where `where` is, and how often that is."""
    wide = where[..., None].expand_as(held) if held.ndim > where.ndim else where
    return torch.stack([(held & wide).sum(), wide.sum()]).double()
