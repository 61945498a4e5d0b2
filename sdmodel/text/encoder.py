"""What every text encoder is: captions in; states, mask and a pooled state out.

An encoder of kind KIND is the module `sdmodel.text.KIND`, whose `ENCODER` is a class derived from `Encoder`.
Its laws, which `tests/sdmodel/text/test_encoders.py` asks of every kind:

* padding changes nothing: a caption's states are the same whatever its batch and its padding;
* states at padding are 0;
* what is saved and loaded is the same encoder;
* gradients of states and pooled together reach every parameter.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol, Self

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.text import TextConfig
from sdmodel.text.lengths import fitting
from sdmodel.text.tokenizer import Tokenizer
from sdmodel.transfer import sent

KIND = "text"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
NOT_SHAPE = ("start", "rate")
"""What a config says of learning, not of the encoder."""


class Vocabulary(Protocol):
    """A tokenizer: captions to rows of token ids."""

    pad: int
    """Id of padding."""
    mask: int
    """Id that stands for a hidden token; -1 where it has none."""
    special: frozenset[int]
    """Ids that stand for no part of a caption: padding, start, end, mask."""

    def __len__(self) -> int:
        """Ids are 0 to len - 1."""
        ...

    def encode(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length) int64 ids, or (B, length, G) of which the first of G is the token's id and the others
        say more about it; padded at the end, longer captions are cut."""
        ...

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end among them, uncut."""
        ...

    def rows(self, ids: Tensor) -> Tensor:
        """What `encode` gives for tokens with these ids: ids of any shape to the same shape, or (..., G)."""
        ...

    def save(self, folder: Path) -> None:
        """Writes its files into `folder`."""
        ...


class Encoder(nn.Module, ABC):
    """A text encoder with its tokenizer."""

    width: int
    """D: channels of states and pooled."""
    length: int
    """L: tokens read of a caption."""
    tokenizer: Vocabulary
    config: TextConfig

    def __init__(self, config: TextConfig, tokenizer: Vocabulary):
        """Random weights from torch's global generator."""
        super().__init__()
        assert config.length, "a length that follows the captions is chosen before the encoder is built"
        self.config, self.tokenizer = config, tokenizer
        self.width, self.length = config.width, config.length

    @abstractmethod
    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, L, D), 0 at padding, and pooled (B, D), both float32, but for autocast.

        Args:
            ids: (B, L) or (B, L, G) int64, as the tokenizer gives them; L may be below `length`.
            mask: (B, L) bool, true for tokens; every row has one, and no token comes after padding.
        """

    @property
    @abstractmethod
    def embedding(self) -> nn.Module:
        """The sub-module that makes (B, L, W) of ids, the first thing that is computed of them."""

    def ahead(self, ids: Tensor, mask: Tensor) -> list[tuple[Tensor, int]]:
        """States that know nothing of what they are to foretell, for next-token prediction.

        Returns:
            Pairs of states (B, L, C) and an offset: the state of token l knows no more than the tokens up to
            l where the offset is 1, and those from l on where it is -1; it foretells token l + offset.

        Raises:
            ValueError: this kind's states know the whole caption.
        """
        raise ValueError(
            f'text.kind="{self.config.kind}" sees whole captions and has nothing to foretell; set '
            "pretrain.next to 0, or take a kind that can look one way, as lstm or transformer"
        )

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end among them, uncut."""
        return self.tokenizer.count(captions)

    def read(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions as ids and mask, on the encoder's device."""
        device = next(self.parameters()).device
        ids = sent(self.tokenizer.encode(captions, self.length), device)
        return ids, mask_of(ids, self.tokenizer.pad)

    def encode(self, captions: Sequence[str], dropped: Tensor | None = None) -> Condition:
        """B captions: pooled (B, D), states (B, length, D), mask (B, length). "" stands for no caption, and
        is taken where `dropped` (B,) bool is true."""
        rows, _ = self.read([*captions, ""])
        ids, empty = rows[:-1], rows[-1:]
        if dropped is not None:
            ids = torch.where(dropped.view(-1, *[1] * (ids.ndim - 1)), empty, ids)
        mask = mask_of(ids, self.tokenizer.pad)
        states, pooled = self(ids, mask)
        return Condition(pooled.float(), states.float(), mask)  # a kind may end in bf16 under autocast

    @classmethod
    def vocabulary_of(cls, config: TextConfig, captions: Iterable[str]) -> Vocabulary:
        """The tokenizer that is learned for this kind."""
        return Tokenizer.learn(captions, config.vocabulary, config.tokens)

    @classmethod
    def vocabulary_in(cls, folder: Path) -> Vocabulary:
        """The tokenizer that was saved in a folder."""
        return Tokenizer.load(folder)

    @classmethod
    def learn(cls, config: TextConfig, captions: Iterable[str]) -> Self:
        """Random weights, and a tokenizer learned from captions, as the config says; its length follows them
        where the config's is 0."""
        known = list(captions)
        tokenizer = cls.vocabulary_of(config, known)
        return cls(replace(config, length=config.length or fitting(tokenizer.count, known)), tokenizer)

    @classmethod
    def load(cls, folder: Path, config: TextConfig, captions: Sequence[str] = ()) -> Self:
        """What `save` wrote, or of transformers' kinds any folder in its layout.

        Tokenizer and shape are the folder's; `rate`, `queries` and `dropout`, and `length` where it
        is below the folder's, are the config's. Of 0 it follows `captions` in transformers' kinds, as far as
        the model has places for. ValueError: it holds none of this kind."""
        held = held_in(folder, config.kind)
        chosen = {name: getattr(config, name) for name in ("rate", "queries", "dropout")}
        shape = replace(held, **chosen, length=min(held.length, config.length or held.length))
        encoder = cls(shape, cls.vocabulary_in(folder))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
        return encoder

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes config, tokenizer and these weights, by the names of `state_dict`, contiguous and on the
        CPU, into an existing empty folder."""
        told = {name: value for name, value in asdict(self.config).items() if name not in NOT_SHAPE}
        held = {"kind": KIND, "text": told}
        (folder / CONFIG).write_text(json.dumps(held, indent=2, sort_keys=True) + "\n")
        self.tokenizer.save(folder)
        save_file(weights, folder / WEIGHTS)


def held_in(folder: Path, kind: str) -> TextConfig:
    """The config of one of our own encoders in a folder. ValueError: it holds none of this kind."""
    file = folder / CONFIG
    held = json.loads(file.read_text()) if file.exists() else {}
    found = (
        held["text"]["kind"] if held.get("kind") == KIND else held.get("model_type", "nothing that is known")
    )
    if found != kind:
        raise ValueError(
            f'{folder} holds {found}; text.kind="{kind}" needs one of its own kind to start from'
        )
    return TypeAdapter(TextConfig).validate_python(held["text"])


def mask_of(ids: Tensor, pad: int) -> Tensor:
    """(B, L) bool, true for tokens, of (B, L) or (B, L, G) ids.

    That is up to the last one: a caption can spell padding out ("<pad>"), which hides none of its words."""
    tokens = (ids if ids.ndim == 2 else ids[..., 0]) != pad
    places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    return places <= (tokens * places).amax(1, keepdim=True)


def mean_of(states: Tensor, mask: Tensor) -> Tensor:
    """(B, D): mean over the tokens of (B, L, D)."""
    kept = mask[..., None].to(states.dtype)
    return (states * kept).sum(1) / kept.sum(1)
