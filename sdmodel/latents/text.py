"""A frozen text encoder: captions to states, as Stable Diffusion's denoisers were taught to read them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from sdmodel.condition import Condition
from sdmodel.text.lengths import CaptionReader
from sdmodel.text.pipeline import PipelineTextEncoder


class FrozenTextEncoder:
    """`PipelineTextEncoder` without gradients, and no module: nobody learns, averages or saves its
    weights."""

    padded = False
    """All tokens may be attended to."""

    def __init__(self, clip: PipelineTextEncoder, device: torch.device | str = "cpu"):
        self.clip = clip.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.length = clip.length
        self.pooled_width, self.token_width = clip.pooled_width, clip.token_width

    def to(self, device: torch.device) -> Self:
        """Itself, there."""
        if device != self.device:
            self.clip.to(device)
            self.device = device
        return self

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """Itself."""
        return [self]

    def count(self, captions: Sequence[str]) -> list[int]:
        """As `PipelineTextEncoder.count`."""
        return self.clip.count(captions)

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str], dropped: Tensor | None = None) -> Condition:
        """As `PipelineTextEncoder.encode_captions`, on the encoder's device."""
        return self.clip.encode_captions(captions, dropped)

    @cached_property
    def empty(self) -> Condition:
        """The empty caption, once, on the CPU. Set by who has it from a cache, it asks no encoder."""
        return self.encode_captions([""]).to(torch.device("cpu"))


def load_text_encoder(folder: Path, length: int = 0, device: torch.device | str = "cpu") -> FrozenTextEncoder:
    """The text encoder in a folder; see `PipelineTextEncoder.load`."""
    return FrozenTextEncoder(PipelineTextEncoder.load(folder, length), device)
