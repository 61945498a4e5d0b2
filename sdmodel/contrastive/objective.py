"""The contrastive objective: images and captions of a pair together, those of different pairs apart."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from open_clip import CLIP
from safetensors.torch import load_file
from torch import Tensor, nn

from sdmodel.config.train import TrainConfig
from sdmodel.contrastive import clip, tower
from sdmodel.contrastive.foils import Foils
from sdmodel.contrastive.pairs import directions, factor, foils_of, paired_loss
from sdmodel.data.batch import Batch
from sdmodel.text.lengths import CaptionReader, fitting_length
from sdmodel.text.tokenizer import Tokenizer
from sdmodel.transfer import sent
from sdmodel.weights import submodule_weights


class Contrastive(nn.Module):
    """CLIP with its loss."""

    adamw_layers = tuple(f"clip.visual.{name}" for name in tower.ADAMW_LAYERS)

    def __init__(self, model: CLIP, tokenizer: Tokenizer, foils: Foils, config: TrainConfig):
        super().__init__()
        self.clip = model
        self.tokenizer = tokenizer
        self.foils = foils
        self.config = config

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"contrastive": scalar}, over the global batch."""
        captions = [*batch.captions, *foils_of(batch, self.foils, self.config.contrastive.foils)]
        ids = sent(self.tokenizer.token_ids(captions, self.config.text.length), batch.images.device)
        image = directions(self.clip.encode_image(batch.images))  # (B, D)
        text = directions(self.clip.encode_text(ids))  # (B + B * K, D)
        return {"contrastive": paired_loss(image, text, ids, factor(self.clip.logit_scale))}


class ContrastiveObjective:
    """Trains a CLIP; `save` writes a stock open_clip folder. ValueError: pictures of several shapes."""

    whole_batch = True
    sample = None
    enough = None
    players = ()

    def __init__(self, config: TrainConfig, captions: list[str]):
        self.config, self._follows = config, not config.text.length
        self.foils = Foils(captions)
        tokenizer = Tokenizer.learn(captions, config.text.vocabulary)
        self._build(tokenizer, config.text.length or fitting_length(tokenizer.count, captions))

    def _build(self, tokenizer: Tokenizer, length: int) -> None:
        """length: tokens read of a caption."""
        self.tokenizer, self.length = tokenizer, length
        self.config = replace(self.config, text=replace(self.config.text, length=length))
        self.modules = Contrastive(
            clip.build(self.config, len(tokenizer)), tokenizer, self.foils, self.config
        )

    @property
    def heavy(self) -> list[nn.Module]:
        """The image tower."""
        return [self.modules.clip.visual]

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end among them, uncut."""
        return self.tokenizer.count(captions)

    @property
    def readers(self) -> list[CaptionReader]:
        """What reads captions: its own text tower."""
        return [self]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, over the batch at hand: smaller batches are easier."""
        losses = self.modules(batch)
        return {name: loss.double() * len(batch) for name, loss in losses.items()}

    def start(self, folder: Path) -> None:
        """Takes tokenizer and weights from an open_clip folder that `save` wrote.

        ValueError: it holds another shape of model."""
        tokenizer = Tokenizer.load(folder)
        saved = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
        length = saved["text_cfg"]["context_length"] if self._follows else self.length
        text = replace(self.config.text, length=length)
        expected = clip.model_config(replace(self.config, text=text), len(tokenizer))
        if saved != expected:
            raise ValueError(f"{folder}: holds the model {saved}; the config asks for {expected}")
        self._build(tokenizer, length)
        weights = load_file(folder / "open_clip_model.safetensors")
        self.modules.clip.load_state_dict({name: value.float() for name, value in weights.items()})

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes the open_clip folder from averaged weights."""
        clip.save(
            folder,
            self.config,
            self.tokenizer,
            submodule_weights(weights, "clip."),
        )
