"""Weighted nearest neighbours: what classes the nearest known rows have, as a measure of features (Wu et al.
2018, arXiv:1805.01978, section 3.4)."""

import torch
from torch import Tensor
from torch.nn import functional as F

K, TEMPERATURE = 20, 0.07
"""Neighbours that vote, each with exp(cosine / temperature); the paper's temperature, and the count that DINO
(Caron et al. 2021, arXiv:2104.14294, section 4.1) took from its trials."""
CHUNK = 1024
"""Rows that are compared with all known ones at once: bounds memory."""


def nearest_classes(
    known: Tensor, labels: Tensor, rows: Tensor, classes: int, k: int = K, temperature: float = TEMPERATURE
) -> Tensor:
    """(M,) int64: the class of each row that its k nearest known rows by cosine vote for, all of them where
    there are fewer; of equals the first.

    known: (N, F), N >= 1. labels: (N,) int64 in [0, classes). rows: (M, F)."""
    known, chosen = F.normalize(known.float(), dim=1), list[Tensor]()
    for chunk in rows.float().split(CHUNK):
        cosines, places = (F.normalize(chunk, dim=1) @ known.T).topk(min(k, len(known)), dim=1)  # (m, k)
        votes = torch.zeros(len(chunk), classes)
        votes.scatter_add_(1, labels[places], (cosines / temperature).exp())
        chosen.append(votes.argmax(1))
    return torch.cat(chosen)
