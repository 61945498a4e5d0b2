"""Classes of rows, for the supervised contrastive loss: which rows are equal in all columns of labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sdmodel.pretrain.labels import NOTHING, Labels, label_teaches
from sdmodel.selfsupervised.supervised_contrastive import UNLABELLED


class RowClasses:
    """Numbers rows by the combination of their labels, the same in all processes."""

    def __init__(self, labels: Labels):
        columns = [labels.rows.get(name, NOTHING).of for name in labels.columns]
        complete = set(columns[0]).intersection(*columns[1:]) if columns else set[str]()
        combinations = {
            uid: tuple(of[uid] for of in columns) for uid in complete if label_teaches(uid, labels.labelled)
        }
        number = {combination: n for n, combination in enumerate(sorted(set(combinations.values())))}
        self.of = {uid: number[combination] for uid, combination in combinations.items()}
        """uid -> class; of rows that lack a label, or whose labels do not teach, nothing."""

    def __call__(self, uids: Sequence[str]) -> Tensor:
        """(B,) int64: classes of rows, UNLABELLED of those without."""
        return torch.tensor([self.of.get(uid, UNLABELLED) for uid in uids])
