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
from sdmodel.contrastive.foils import Foils
from sdmodel.contrastive.gather import gather
from sdmodel.contrastive.loss import contrastive_loss, own_cosines
from sdmodel.data.batch import Batch
from sdmodel.text.tokenizer import Tokenizer
from sdmodel.transfer import sent

MAX_SCALE = 100.0
"""Largest factor on cosines, as in CLIP: beyond it training becomes unstable."""


class Contrastive(nn.Module):
    """CLIP with its loss."""

    def __init__(self, model: CLIP, tokenizer: Tokenizer, foils: Foils, config: TrainConfig):
        super().__init__()
        self.clip = model
        self.tokenizer = tokenizer
        self.foils = foils
        self.config = config

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """{"contrastive": scalar}, over the global batch."""
        count, rows, seed = self.config.contrastive.foils, len(batch), generator.initial_seed()
        captions = [*batch.captions]
        for row, caption in enumerate(batch.captions):
            captions += self.foils.of(caption, count, (seed, batch.start + row))
        all_ids = sent(self.tokenizer.encode(captions, self.config.text.length), batch.images.device)
        image = F.normalize(self.clip.encode_image(batch.images).float(), dim=-1)  # (B, D)
        all_text = F.normalize(self.clip.encode_text(all_ids).float(), dim=-1)  # (B + B * K, D)

        # An image's foils are its own negatives; where none was found the foil is the caption, which is no
        # negative.
        ids, text = all_ids[:rows], all_text[:rows]
        foils = own_cosines(image, all_text[rows:].view(rows, count, image.shape[1]))
        none = (all_ids[rows:].view(rows, count, ids.shape[1]) == ids[:, None]).all(-1)  # (B, K)

        ids = gather(ids)
        same = (ids[:, None] == ids[None]).all(-1)
        scale = self.clip.logit_scale.clamp(max=math.log(MAX_SCALE)).exp()
        absent = gather(none.long()).bool()
        loss = contrastive_loss(gather(image), gather(text), scale, same, gather(foils), absent)
        return {"contrastive": loss}


class ContrastiveObjective:
    """Trains a CLIP; `save` writes a stock open_clip folder. ValueError: pictures of several shapes."""

    whole_batch = True

    def __init__(self, config: TrainConfig, captions: list[str]):
        if config.data.buckets > 1:
            raise ValueError(
                f"data.buckets={config.data.buckets}: an open_clip model sees squares of one size; take 1"
            )
        self.config = config
        self.foils = Foils(captions)
        self._build(Tokenizer.learn(captions, config.text.vocabulary))

    def _build(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.modules = Contrastive(
            clip.build(self.config, len(tokenizer)), tokenizer, self.foils, self.config
        )

    @property
    def heavy(self) -> list[nn.Module]:
        """The image tower."""
        return [self.modules.clip.visual]

    def errors(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss, over the batch at hand: smaller batches are easier."""
        losses = self.modules(batch, generator)
        return {name: loss.double() * len(batch) for name, loss in losses.items()}

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
