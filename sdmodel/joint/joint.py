"""The self-supervised side of joint training: its task, its view of the pictures, and the weights of both
losses."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sdmodel.config.representation import stride, tap
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.taps import tap_width
from sdmodel.joint.contrastive import ContrastiveTask
from sdmodel.joint.masked import MaskedTask
from sdmodel.joint.weights import LossWeights, Term
from sdmodel.noise.interpolation import interpolate
from sdmodel.noise.process import ForwardProcess

Trunk = Callable[[Tensor, Tensor], Tensor]
"""(x_t (B, C, H, W), times (B,)) -> features (B, C', h, w) of the tap, without captions."""
VIEW = "view "
"""Before the names of the streams of random numbers of the second view."""


class JointTraining(nn.Module):
    """A self-supervised loss on a denoiser's hidden features. It learns with the denoiser, and is no part of
    the model that is published.

    The second view has a time and noise of its own, and no caption: what a caption tells of a picture need
    not be seen in it."""

    def __init__(self, config: TrainConfig, network: nn.Module, channels: int) -> None:
        """network: the denoiser, of arrays of so many channels. ValueError: it gives no hidden features."""
        super().__init__()
        joint = config.joint
        self.layer = tap(config, joint.layer)
        width = tap_width(network, self.layer)
        if joint.kind == "contrastive":
            self.task = ContrastiveTask(width, joint.embedding, joint.temperature)
        else:
            self.task = MaskedTask(width, channels, stride(config, self.layer), joint.hidden)
        self.weights = LossWeights(joint, config.images)

    @property
    def compares(self) -> bool:
        """Whether the features of the picture that is denoised are the first view."""
        return isinstance(self.task, ContrastiveTask)

    def forward(
        self,
        batch: Batch,
        x_0: Tensor,
        process: ForwardProcess,
        trunk: Trunk,
        denoising: Term,
        first: Tensor | None,
    ) -> dict[str, Tensor]:
        """Losses and metrics of both, see `LossWeights`.

        Args:
            batch: the rows, by which noise, times and masks are drawn.
            x_0: (B, C, H, W), the clean arrays.
            process: their noise.
            trunk: the denoiser up to the tap.
            denoising: the errors of what it predicts.
            first: (B, C', h, w) features of the pictures that are denoised; None where they are not compared.
        """
        t = process.times(batch, x_0[0, 0].numel(), VIEW)
        view = interpolate(x_0, process.noise(batch, x_0.shape[1:], VIEW), t)
        if isinstance(self.task, ContrastiveTask):
            assert first is not None
            both = torch.stack([denoising.times, t])
            term = Term(*self.task(first, trunk(view, t), both))
        else:
            places = (view.shape[2] // self.task.stride, view.shape[3] // self.task.stride)
            mask = self.task.mask(batch.uniform(f"{VIEW}mask", *places))
            term = Term(self.task(trunk(self.task.hide(view, mask), t), x_0, mask), t)
        return self.weights({"denoising": denoising, "joint": term}, batch.images_seen)
