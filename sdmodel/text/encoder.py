"""The interface of every text encoder: captions in; states, mask and a pooled state out.

An encoder of kind KIND is the module `sdmodel.text.KIND`, whose `ENCODER` is a class derived from
`TextEncoder`. Its laws, which `tests/sdmodel/text/test_encoders.py` asks of every kind:

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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.config.adapter import adapter_of
from sdmodel.config.text import TextConfig
from sdmodel.text.lengths import fitting_length
from sdmodel.text.tokenizer import Tokenizer
from sdmodel.transfer import sent

KIND = "text"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
UNKNOWN_KIND = "nothing that is known"
"""Of an encoder in a folder, for messages."""
NOT_SHAPE = ("start", "rate")
"""Fields of a config about learning, not about the encoder's shape."""


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

    def token_ids(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length) int64 ids, or (B, length, G) of which the first of G is the token's id and the others
        say more about it; padded at the end, longer captions are cut."""
        ...

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, start and end among them, uncut."""
        ...

    def rows(self, ids: Tensor) -> Tensor:
        """What `token_ids` gives for tokens with these ids: ids of any shape to the same shape, or (...,
        G)."""
        ...

    def save(self, folder: Path) -> None:
        """Writes its files into `folder`."""
        ...


class TextEncoder(nn.Module, ABC):
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

    def causal_states(self, ids: Tensor, mask: Tensor) -> list[tuple[Tensor, int]]:
        """Causal states, which know nothing of what they are to predict, for next-token prediction.

        Returns:
            Pairs of states (B, L, C) and an offset: the state of token l knows no more than the tokens up to
            l where the offset is 1, and those from l on where it is -1; it predicts token l + offset.

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

    def tokenize(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions as token ids (B, L) or (B, L, G) and padding mask (B, L), on the encoder's device."""
        device = next(self.parameters()).device
        ids = sent(self.tokenizer.token_ids(captions, self.length), device)
        return ids, padding_mask(ids, self.tokenizer.pad)

    def encode_captions(self, captions: Sequence[str], dropped: Tensor | None = None) -> Condition:
        """B captions: pooled (B, D), states (B, length, D), mask (B, length). "" stands for no caption, and
        is taken where `dropped` (B,) bool is true."""
        rows, _ = self.tokenize([*captions, ""])
        ids, empty = rows[:-1], rows[-1:]
        if dropped is not None:
            ids = torch.where(dropped.view(-1, *[1] * (ids.ndim - 1)), empty, ids)
        mask = padding_mask(ids, self.tokenizer.pad)
        states, pooled = self(ids, mask)
        return Condition(pooled.float(), states.float(), mask)  # a kind may end in bf16 under autocast

    @classmethod
    def learn_tokenizer(cls, config: TextConfig, captions: Iterable[str]) -> Vocabulary:
        """The tokenizer that is learned for this kind."""
        return Tokenizer.learn(captions, config.vocabulary, config.tokens)

    @classmethod
    def load_tokenizer(cls, folder: Path) -> Vocabulary:
        """The tokenizer that was saved in a folder."""
        return Tokenizer.load(folder)

    @classmethod
    def learn(cls, config: TextConfig, captions: Iterable[str]) -> Self:
        """Random weights, and a tokenizer learned from captions, as the config says; its length follows them
        where the config's is 0."""
        known = list(captions)
        tokenizer = cls.learn_tokenizer(config, known)
        return cls(replace(config, length=config.length or fitting_length(tokenizer.count, known)), tokenizer)

    @classmethod
    def load(cls, folder: Path, config: TextConfig, captions: Sequence[str] = ()) -> Self:
        """What `save` wrote, or of transformers' kinds any folder in its layout.

        Tokenizer and shape are the folder's; `rate`, `queries` and `dropout`, and `length` where it
        is below the folder's, are the config's. Of 0 it follows `captions` in transformers' kinds, as far as
        the model has places for. ValueError: it holds none of this kind."""
        saved = saved_config(folder, config.kind)
        chosen = {name: getattr(config, name) for name in ("rate", "queries", "dropout")}
        shape = replace(saved, **chosen, length=min(saved.length, config.length or saved.length))
        encoder = cls(shape, cls.load_tokenizer(folder))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
        return encoder

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes config, tokenizer and these weights, by the names of `state_dict`, contiguous and on the
        CPU, into an existing empty folder."""
        shape = {name: value for name, value in asdict(self.config).items() if name not in NOT_SHAPE}
        config = {"kind": KIND, "text": shape}
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        self.tokenizer.save(folder)
        save_file(weights, folder / WEIGHTS)


def saved_config(folder: Path, kind: str) -> TextConfig:
    """The config of one of our own encoders in a folder. ValueError: it holds none of this kind."""
    file = folder / CONFIG
    saved = json.loads(file.read_text()) if file.exists() else {}
    saved_kind = saved["text"]["kind"] if saved.get("kind") == KIND else saved.get("model_type", UNKNOWN_KIND)
    if saved_kind != kind:
        raise ValueError(
            f'{folder} holds {saved_kind}; text.kind="{kind}" needs one of its own kind to start from'
        )
    return adapter_of(TextConfig).validate_python(saved["text"])


def padding_mask(ids: Tensor, pad: int) -> Tensor:
    """The padding (attention) mask (B, L) bool, true for tokens, of (B, L) or (B, L, G) ids.

    That is up to the last one: a caption can spell padding out ("<pad>"), which hides none of its words."""
    tokens = (ids if ids.ndim == 2 else ids[..., 0]) != pad
    places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    return places <= (tokens * places).amax(1, keepdim=True)


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """Mean pooling (B, D): the mean over the tokens of (B, L, D), without padding."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
