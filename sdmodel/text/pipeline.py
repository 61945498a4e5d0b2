"""CLIP's text model as a text encoder (Radford et al. 2021, arXiv:2103.00020), as Stable Diffusion's
pipelines use it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.text import TextConfig
from sdmodel.text import build
from sdmodel.text.lengths import CaptionReader, token_counts
from sdmodel.transfer import sent
from sdmodel.variant import variant_of
from sdmodel.weights import submodule_weights

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import CLIPTextModel, PreTrainedTokenizerBase


LEARNED = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""What tokenizer_config.json calls a tokenizer that was learned here, in transformers 4 and 5."""


class PipelineTextEncoder(nn.Module):
    """A module that learns; `sdmodel.latents.text.FrozenTextEncoder` is the same, frozen.

    Every caption is padded to `length` tokens and the padding may be attended to, as Stable Diffusion's
    pipelines do: denoisers that learned so expect it.
    """

    padded = False
    """All tokens may be attended to."""

    def __init__(self, model: "CLIPTextModel", tokenizer: "PreTrainedTokenizerBase", length: int = 0):
        """length: tokens of a caption; 0 is as many as the model knows places for.

        ValueError: it knows no more than so many."""
        super().__init__()
        self.model: Any = model.float()
        self.tokenizer: Any = tokenizer
        most = int(self.model.config.max_position_embeddings)
        if not 0 <= length <= most:
            raise ValueError(f"encode.length={length}: the text encoder knows places for {most} tokens")
        self.length = length or most
        self.pooled_width = self.token_width = int(self.model.config.hidden_size)

    def encode_captions(self, captions: Sequence[str], dropped: Tensor | None = None) -> Condition:
        """B captions, the empty one where `dropped` (B,) bool is true: pooled (B, D), states (B, length, D),
        both float32; the mask is all true."""
        words = self.tokenizer(
            [*captions, ""],
            padding="max_length",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )
        rows = sent(words["input_ids"], self.model.device)
        ids, empty = rows[:-1], rows[-1:]  # (B, L), (1, L)
        if dropped is not None:
            ids = torch.where(dropped[:, None], empty, ids)
        output = self.model(input_ids=ids)
        states, pooled = output.last_hidden_state.float(), output.pooler_output.float()
        return Condition(pooled, states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device))

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """Itself."""
        return [self]

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end among them, uncut."""
        return token_counts(self.tokenizer, captions)

    @classmethod
    def of_config(cls, config: TextConfig, captions: Sequence[str], start: Path | None = None) -> Self:
        """An encoder of kind clip: with random weights and a tokenizer learned from captions, or a folder's.

        ValueError: the config does not fit its kind or the folder."""
        config = config if config.rate else replace(config, dropout=0.0)  # what is frozen has none
        clip: Any = build.load(start, config, captions) if start else build.learn(config, captions)
        return cls(clip.model, clip.transformers_tokenizer(), clip.length)

    @classmethod
    def load(cls, folder: Path, length: int = 0) -> Self:
        """From a folder with `text_encoder` and `tokenizer` in it, as Stable Diffusion's have.

        ValueError: there is none in it, or `length` is above what it knows places for."""
        from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerFast

        config = folder / "tokenizer/tokenizer_config.json"
        try:
            # A tokenizer that was learned here is not split as CLIP's.
            own = config.is_file() and json.loads(config.read_text()).get("tokenizer_class") in LEARNED
            kind: Any = PreTrainedTokenizerFast if own else CLIPTokenizer
            # transformers reads JSON and safetensors here; no pickle is opened.
            model: Any = CLIPTextModel.from_pretrained(
                folder / "text_encoder",
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                variant=variant_of(folder / "text_encoder"),
            )
            tokenizer: Any = kind.from_pretrained(folder / "tokenizer", local_files_only=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{folder} holds no CLIP text encoder in transformers' layout: {error}"
            ) from error
        return cls(model, tokenizer, length)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes `text_encoder` and `tokenizer`, with these weights by the names of `state_dict`."""
        (folder / "text_encoder").mkdir()
        self.model.config.save_pretrained(folder / "text_encoder")
        model_weights = submodule_weights(weights, "model.")
        save_file(model_weights, folder / "text_encoder/model.safetensors", metadata={"format": "pt"})
        self.tokenizer.save_pretrained(folder / "tokenizer")
