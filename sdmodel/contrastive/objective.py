"""The contrastive objective: images and captions of a pair together, those of different pairs apart."""

import json
import math
from pathlib import Path

import torch
from open_clip import CLIP
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config import TrainConfig
from sdmodel.contrastive import clip
from sdmodel.contrastive.gather import gather
from sdmodel.contrastive.loss import contrastive_loss
from sdmodel.data.batch import Batch
from sdmodel.text.tokenizer import Tokenizer

MAX_SCALE = 100.0
"""Largest factor on cosines, as in CLIP: beyond it training becomes unstable."""


class Contrastive(nn.Module):
    """CLIP with its loss."""

    def __init__(self, model: CLIP, tokenizer: Tokenizer, length: int):
        super().__init__()
        self.clip = model
        self.tokenizer = tokenizer
        self.length = length

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """{"contrastive": scalar}, over the global batch; the generator is not used."""
        ids = self.tokenizer.encode(batch.captions, self.length).to(batch.images.device)
        image = F.normalize(self.clip.encode_image(batch.images).float(), dim=-1)  # (B, D)
        text = F.normalize(self.clip.encode_text(ids).float(), dim=-1)
        scale = self.clip.logit_scale.clamp(max=math.log(MAX_SCALE)).exp()
        return {"contrastive": contrastive_loss(gather(image), gather(text), scale, gather(ids))}


class ContrastiveObjective:
    """Trains a CLIP; `save` writes a stock open_clip folder."""

    def __init__(self, config: TrainConfig, captions: list[str]):
        self.config = config
        self._build(Tokenizer.learn(captions, config.text.vocabulary))

    def _build(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.modules = Contrastive(
            clip.build(self.config, len(tokenizer)), tokenizer, self.config.text.length
        )

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from an open_clip folder that `save` wrote.

        ValueError: it holds another shape of model."""
        tokenizer = Tokenizer.load(folder)
        wanted = clip.model_config(self.config, len(tokenizer))
        held = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
        if held != wanted:
            raise ValueError(f"{folder}: holds the model {held}; the config asks for {wanted}")
        self._build(tokenizer)
        weights = load_file(folder / "open_clip_model.safetensors")
        self.modules.clip.load_state_dict({name: value.float() for name, value in weights.items()})

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the open_clip folder from averaged weights."""
        clip.save(
            folder,
            self.config,
            self.tokenizer,
            {name.removeprefix("clip."): value for name, value in weights.items()},
        )
