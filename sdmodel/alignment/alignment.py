"""The alignment of a training: one of the losses of this folder, at a tap of the denoiser, with a weight and
an end."""

import torch
from torch import Tensor, nn

from sdmodel.alignment.dispersive import Dispersive
from sdmodel.alignment.repa import Repa
from sdmodel.config.representation import tap
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.taps import tap_width
from sdmodel.losses import metrics
from sdmodel.selfsupervised.teacher import Teacher


class Alignment(nn.Module):
    """A loss on hidden features. Its projector, if it has one, learns with the denoiser and is no part of the
    model that is published."""

    def __init__(self, config: TrainConfig, network: nn.Module, teacher: Teacher | None) -> None:
        """network: the denoiser. teacher: for "repa". ValueError: the denoiser gives no hidden features."""
        super().__init__()
        self.config = config.alignment
        self.layer = tap(config, self.config.layer)
        width = tap_width(network, self.layer)
        if self.config.kind == "repa":
            assert teacher is not None
            self.repa = Repa(width, teacher, spatial=self.config.spatial)
        else:
            self.dispersive = Dispersive(self.config.temperature)

    def reads(self, batch: Batch) -> bool:
        """Whether it is on for a batch, and needs features."""
        return not self.config.until or batch.images_seen < self.config.until

    def forward(self, features: Tensor | None, batch: Batch) -> dict[str, Tensor]:
        """{"alignment_weighted": scalar} and metrics "alignment" and "weight_alignment" of a batch's features
        (B, C, h, w); None where it is off, of which nothing is learned.

        The projector then has a gradient of zeros: DistributedDataParallel waits for one of every weight."""
        zero = batch.images.new_zeros(())
        if features is None:
            nothing = zero + sum(weight.sum() for weight in self.parameters()) * 0.0
            return {"alignment_weighted": nothing, **_metrics(zero, zero)}
        loss = self.repa(features, batch) if self.config.kind == "repa" else self.dispersive(features)
        weight = torch.full_like(zero, self.config.weight)
        return {"alignment_weighted": weight * loss, **_metrics(loss, weight)}


def _metrics(loss: Tensor, weight: Tensor) -> dict[str, Tensor]:
    return metrics({"alignment": loss, "weight_alignment": weight})
