"""The text side of a denoiser that reads no captions: nothing is encoded, and nothing learned."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.text.lengths import CaptionReader


class UnreadCaptions:
    """A caption encoder whose conditions are empty, of an unconditional model. It is no module: parameters
    that no loss depends on would make DistributedDataParallel wait for their gradients."""

    pooled_width = token_width = 0
    padded = False
    length = 0

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """None."""
        return []

    def encode_captions(self, captions: Sequence[str], dropped: Tensor | None = None) -> Condition:
        """B captions, whatever they say: pooled (B, 0), states (B, 0, 0) and mask (B, 0), on the CPU."""
        rows = len(captions)
        return Condition(
            torch.zeros(rows, 0), torch.zeros(rows, 0, 0), torch.zeros(rows, 0, dtype=torch.bool)
        )
