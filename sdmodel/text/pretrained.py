"""Text encoders on models of transformers: of any size from random weights, or from a folder in its layout.

Nothing is downloaded, no pickle is opened, and no code of a folder is run.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import CONFIG, UNKNOWN_KIND, WEIGHTS, TextEncoder, Vocabulary
from sdmodel.text.lengths import fitting_length, token_counts
from sdmodel.text.tokenizer import (
    END,
    END_ID,
    FILE,
    MASK,
    PAD,
    PAD_ID,
    START,
    START_ID,
    UNKNOWN,
    UNKNOWN_ID,
    Tokenizer,
)
from sdmodel.variant import variant_of
from sdmodel.weights import submodule_weights

INSIDE = ("text_encoder", "tokenizer")
"""Where a pipeline's folder keeps them."""


class TransformersTokenizer:
    """A tokenizer of transformers as a `Vocabulary`.

    Some pad with the end's id (CLIP) or with that of a sign (Stable Diffusion 2), which would hide those from
    the mask: padding is an id of its own here, beyond the tokenizer's."""

    def __init__(self, tokenizer: Any):
        """ValueError: the empty caption has no token, so nothing could be attended to."""
        self._tokenizer = tokenizer
        self.pad = max(tokenizer.get_vocab().values()) + 1
        # T5 hides spans behind sentinels; the first of them hides a token as well.
        hidden = tokenizer.get_vocab().get("<extra_id_0>", -1)
        self.mask = hidden if tokenizer.mask_token_id is None else int(tokenizer.mask_token_id)
        self.special = frozenset([*tokenizer.all_special_ids, self.pad])
        if not tokenizer("")["input_ids"]:
            raise ValueError(
                "the tokenizer marks neither start nor end, so that the empty caption has no token"
            )

    def __len__(self) -> int:
        return self.pad + 1

    def token_ids(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length) int64 ids; longer captions are cut before their end."""
        rows = torch.full((len(captions), length), self.pad)
        tokens = self._tokenizer(list(captions), truncation=True, max_length=length)["input_ids"]
        for row, ids in zip(rows, tokens, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, with what marks its start and end, uncut."""
        return token_counts(self._tokenizer, captions)

    def rows(self, ids: Tensor) -> Tensor:
        """The ids themselves."""
        return ids

    def save(self, folder: Path) -> None:
        """Writes transformers' own files."""
        self._tokenizer.save_pretrained(folder)


class Pretrained(TextEncoder):
    """A model of transformers that learns, with a tokenizer of ours or with its own."""

    model_types: ClassVar[frozenset[str]]
    """`model_type` of the folders that it reads."""
    model_class: ClassVar[Any]
    """The class of the model."""
    model_options: ClassVar[dict[str, Any]] = {}
    """Further arguments of that class."""
    dropout_names: ClassVar[tuple[str, ...]] = ()
    """What its config calls the shares of channels left out."""
    attention_dropout_names: ClassVar[tuple[str, ...]] = ()
    """What its config calls the shares of attention left out: none is, since attention draws by itself, not
    by row."""
    tokenizer: Vocabulary

    def __init__(self, config: TextConfig, tokenizer: Vocabulary, model: Any = None):
        """model: with its weights; without one, weights are random."""
        super().__init__(config, tokenizer)
        if model is None:
            model = self.model_class(
                self.model_config(config, len(tokenizer), self.dropouts(config)), **self.model_options
            )
        self.model: Any = self.prune(model)

    @classmethod
    def model_config(cls, config: TextConfig, vocabulary: int, dropouts: dict[str, float]) -> Any:
        """transformers' config of a new model with our tokenizer, by the names that BERT and CLIP share.

        dropouts: as of the method of that name."""
        return cls.model_class.config_class(
            vocab_size=vocabulary,
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
            pad_token_id=PAD_ID,
            bos_token_id=START_ID,
            eos_token_id=END_ID,
            **dropouts,
        )

    @classmethod
    def dropouts(cls, config: TextConfig) -> dict[str, float]:
        """The shares that are left out, by their names in transformers' config."""
        attention = dict.fromkeys(cls.attention_dropout_names, 0.0)
        return {**dict.fromkeys(cls.dropout_names, config.dropout), **attention}

    @classmethod
    def prune(cls, model: Any) -> Any:
        """The model without what is never used."""
        return model

    @property
    def embedding(self) -> Any:
        """Of tokens, without their places."""
        return self.model.get_input_embeddings()

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D) float32, 0 at padding."""
        ids = ids.masked_fill(~mask, 0)  # padding's own id may be none of the model's
        return self.last_hidden_state(ids, mask).float() * mask[..., None]

    def last_hidden_state(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The model's last states (B, L, D); those at padding do not matter."""
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    @classmethod
    def load(cls, folder: Path, config: TextConfig, captions: Sequence[str] = ()) -> Self:
        """From a folder in transformers' layout, or with `text_encoder` and `tokenizer` inside, as pipelines
        have; see `TextEncoder.load`."""
        place = folder / INSIDE[0] if (folder / INSIDE[0]).is_dir() else folder
        file = place / CONFIG
        saved = json.loads(file.read_text()) if file.exists() else {}
        if saved.get("model_type") not in cls.model_types:
            kind = saved.get("text", {}).get("kind") or saved.get("model_type", UNKNOWN_KIND)
            raise ValueError(
                f'{folder} holds {kind}; text.kind="{config.kind}" needs one of its own kind to start from'
            )
        try:
            # transformers reads JSON and safetensors here; no pickle is opened.
            model, loading = cls.model_class.from_pretrained(
                place,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                variant=variant_of(place),
                output_loading_info=True,
                **cls.dropouts(config),
                **cls.model_options,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"{folder} holds no text encoder that transformers reads: {error}") from error
        if lost := {*loading["missing_keys"], *loading["mismatched_keys"]}:
            raise ValueError(f"{folder}: its weights lack {sorted(map(str, lost))[:3]}")
        return cls.from_model(model.train(), cls.load_tokenizer(folder), config, folder, captions)

    @classmethod
    def from_model(
        cls, model: Any, tokenizer: Vocabulary, config: TextConfig, folder: Path, captions: Sequence[str] = ()
    ) -> Self:
        """An encoder with a model from `folder`, the shape in its config being the model's; its length
        follows `captions` where the config's is 0.

        ValueError: the tokenizer has tokens that the model does not know."""
        its = model.config
        known = len(tokenizer) - isinstance(
            tokenizer, TransformersTokenizer
        )  # whose padding is none of the model's
        if known > its.vocab_size:
            raise ValueError(
                f"{folder}: its tokenizer has {known} entries, its model {its.vocab_size}; they do not "
                "belong together"
            )
        length = config.length or fitting_length(tokenizer.count, captions)
        shape = replace(
            config,
            width=its.hidden_size,
            layers=its.num_hidden_layers,
            # Queries have these heads too, and some T5 have 6 of 64 channels at a width of 512.
            heads=max(h for h in range(1, its.num_attention_heads + 1) if its.hidden_size % h == 0),
            length=min(length, getattr(its, "max_position_embeddings", length)),
        )
        return cls(shape, tokenizer, model)

    @classmethod
    def load_tokenizer(cls, folder: Path) -> Vocabulary:
        """Ours, or whatever AutoTokenizer makes of a folder. ValueError: there is none in it."""
        place = folder / INSIDE[1] if (folder / INSIDE[1]).is_dir() else folder
        if (place / FILE).exists():
            own = Tokenizer.load(place)
            if own.special >= {PAD_ID, START_ID, END_ID}:
                return own
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                place, local_files_only=True, trust_remote_code=False
            )
            # Where a folder has no words transformers makes a tokenizer that knows none.
            if not any((place / name).exists() for name in tokenizer.vocab_files_names.values()):
                raise ValueError(f"none of {sorted(tokenizer.vocab_files_names.values())} is in it")
            return TransformersTokenizer(tokenizer)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"{folder} holds no tokenizer that transformers reads: {error}") from error

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes transformers' layout: AutoModel and AutoTokenizer read it."""
        self.model.config.architectures = [self.model_class.__name__]
        self.model.config.save_pretrained(folder)
        model_weights = submodule_weights(weights, "model.")
        save_file(model_weights, folder / WEIGHTS, metadata={"format": "pt"})
        self.tokenizer.save(folder)
        if isinstance(self.tokenizer, Tokenizer):
            config = tokenizer_config(self.tokenizer, self.length)
            config["tokenizer_class"] = "PreTrainedTokenizerFast"
            (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    def transformers_tokenizer(self) -> Any:
        """Its tokenizer as one of transformers, which makes the same ids."""
        if isinstance(self.tokenizer, Tokenizer):
            own = self.tokenizer._tokenizer
            return PreTrainedTokenizerFast(
                tokenizer_object=own, **tokenizer_config(self.tokenizer, self.length)
            )
        assert isinstance(self.tokenizer, TransformersTokenizer)
        return self.tokenizer._tokenizer


def tokenizer_config(tokenizer: Tokenizer, length: int) -> dict[str, Any]:
    """What transformers must be told of a tokenizer of ours beside its `tokenizer.json`."""
    config: dict[str, Any] = {"model_max_length": length, "split_special_tokens": True}
    config |= {"bos_token": START, "eos_token": END, "pad_token": PAD}
    # Naming one that the vocabulary lacks would add it.
    config |= {"mask_token": MASK} if tokenizer.mask >= 0 else {}
    return config | ({"unk_token": UNKNOWN} if UNKNOWN_ID in tokenizer.special else {})
