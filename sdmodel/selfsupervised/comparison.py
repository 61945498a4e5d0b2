"""Learning by comparison: two views of a picture together, those of different pictures apart (SimCLR, Chen et
al. 2020, arXiv:2002.05709), and pictures with the same labels together, too (Khosla et al. 2020,
arXiv:2004.11362).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.contrastive.gather import gather
from sdmodel.data.batch import Batch
from sdmodel.selfsupervised.noised import noised
from sdmodel.selfsupervised.nt_xent import nt_xent
from sdmodel.selfsupervised.pretext_task import PretextTask
from sdmodel.selfsupervised.row_classes import RowClasses
from sdmodel.selfsupervised.supervised_contrastive import supervised_contrastive
from sdmodel.selfsupervised.tower import Tower, build, width
from sdmodel.selfsupervised.views import DRAWS, view
from sdmodel.transfer import sent


class ViewComparison(PretextTask[Tower]):
    """The encoder, the head (a projector) that its views are compared behind, and the loss."""

    adamw_layers = ("head.2",)

    def __init__(self, config: SelfSupervisedConfig, classes: RowClasses | None):
        """classes: of the supervised method; None of the contrastive one."""
        super().__init__()
        self.config, self.classes = config, classes
        features = width(config)
        self.encoder = build(config)
        self.head = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, config.embedding)
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """{"selfsupervised": scalar}, over the global batch."""
        u = batch.uniform("views", 2, DRAWS)
        views = [
            noised(batch, view(batch.images, u[:, number], self.config), self.config.noised, number)
            for number in range(2)
        ]
        # In float32: in half precision the length of a vector near 0 is 0.
        z = F.normalize(self.head(self.encoder(torch.cat(views))).float(), dim=-1)  # (2 B, D)
        first, second = (gather(half) for half in z.chunk(2))
        temperature = self.config.temperature
        if self.classes is None:
            return {"selfsupervised": nt_xent(first, second, temperature)}
        labels = gather(sent(self.classes(batch.uids), z.device))
        return {"selfsupervised": supervised_contrastive(first, second, labels, temperature)}
