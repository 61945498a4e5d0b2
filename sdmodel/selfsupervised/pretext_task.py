"""A pretext task: what an image encoder learns by, from pictures alone or nearly so."""

from abc import abstractmethod
from typing import Generic, TypeVar

from torch import Tensor, nn

from sdmodel.data.batch import Batch
from sdmodel.selfsupervised.tower import Tower

Encoder = TypeVar("Encoder", bound=Tower)


class PretextTask(nn.Module, Generic[Encoder]):
    """An encoder, the head that it learns behind, and the loss."""

    encoder: Encoder
    head: nn.Module

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"selfsupervised": scalar}, perhaps with metrics. ValueError: the stream reads latents."""
        if batch.images.shape[1] != 3:
            raise ValueError(
                f"the selfsupervised objective learns from pixels, and the batch has "
                f"{batch.images.shape[1]} channels: train it without encode"
            )
        return self.losses(batch)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """What `forward` returns, of pictures (B, 3, H, W)."""
