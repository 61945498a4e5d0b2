"""Learning by telling how pictures were turned (Gidaris et al. 2018, arXiv:1803.07728)."""

from torch import Tensor, nn

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import metrics
from sdmodel.selfsupervised.noised import noised
from sdmodel.selfsupervised.pretext_task import PretextTask
from sdmodel.selfsupervised.rotation import TURNS, rotation_error, turned
from sdmodel.selfsupervised.tower import Tower, build, width


class RotationPrediction(PretextTask[Tower]):
    """The encoder, the head (a linear classifier of turns), and the loss."""

    adamw_layers = ("head",)

    def __init__(self, config: SelfSupervisedConfig):
        super().__init__()
        self.config = config
        self.encoder = build(config)
        self.head = nn.Linear(width(config), TURNS)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """{"selfsupervised": scalar} and the share that is told right as a metric."""
        images = turned(noised(batch, batch.images, self.config.noised))  # (4 B, 3, S, S)
        error, right = rotation_error(self.head(self.encoder(images)))
        return {"selfsupervised": error, **metrics({"rotation_right": right})}
