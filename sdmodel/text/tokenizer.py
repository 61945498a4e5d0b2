"""Tokenizers learned from the training captions: pieces of bytes, whole words, or characters.

The same captions give the same tokenizer, to the byte. It is one file, `tokenizer.json` of Hugging Face's
`tokenizers`, which `transformers` and so open_clip load as a `PreTrainedTokenizerFast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as HFTokenizer
from torch import Tensor

PAD, START, END, MASK, UNKNOWN = "<pad>", "<start>", "<end>", "<mask>", "<unknown>"
PAD_ID, START_ID, END_ID, MASK_ID, UNKNOWN_ID = 0, 1, 2, 3, 4
FILE = "tokenizer.json"


class Tokenizer:
    """Captions to token ids and back. A caption becomes <start> tokens <end> <pad> ..., even an empty one."""

    pad = PAD_ID

    def __init__(self, tokenizer: HFTokenizer):
        self._tokenizer = tokenizer
        tokenizer.encode_special_tokens = True  # a caption's "<mask>" is text as any other
        ids = (tokenizer.token_to_id(token) for token in (PAD, START, END, MASK, UNKNOWN))
        self.special = frozenset(token for token in ids if token is not None)
        hidden = tokenizer.token_to_id(MASK)
        self.mask = -1 if hidden is None else int(hidden)

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        vocabulary: int = 4096,
        tokens: Literal["bpe", "words", "characters"] = "bpe",
    ) -> Tokenizer:
        """Learns at most `vocabulary` entries.

        Args:
            captions: in any order.
            vocabulary: entries; of bpe, 260 are the bytes and the special tokens.
            tokens: "bpe" are pieces of bytes, so that no caption has unknown ones; "words" are whole words
                and signs, "characters" single ones, in which what was not seen is <unknown>.
        """
        special = [PAD, START, END, MASK]
        # What is seen once teaches nothing: it is better read in pieces that were seen.
        shared: dict[str, Any] = {"vocab_size": vocabulary, "min_frequency": 2, "show_progress": False}
        if tokens == "bpe":
            tokenizer = HFTokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
            tokenizer.decoder = decoders.ByteLevel()
            alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
            trainer = trainers.BpeTrainer(**shared, special_tokens=special, initial_alphabet=alphabet)
        else:
            tokenizer = HFTokenizer(models.WordLevel({UNKNOWN: UNKNOWN_ID}, UNKNOWN))
            tokenizer.pre_tokenizer = (
                pre_tokenizers.Whitespace()
                if tokens == "words"
                else pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            )
            if tokens == "characters":
                tokenizer.decoder = decoders.Fuse()
            trainer = trainers.WordLevelTrainer(**shared, special_tokens=[*special, UNKNOWN])
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.train_from_iterator(sorted(captions), trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}", special_tokens=[(START, START_ID), (END, END_ID)]
        )
        return cls(tokenizer)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """From the `tokenizer.json` in `folder`."""
        return cls(HFTokenizer.from_file(str(folder / FILE)))

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` into `folder`."""
        self._tokenizer.save(str(folder / FILE))

    def __len__(self) -> int:
        """Entries of the vocabulary; ids are 0 to len - 1."""
        return self._tokenizer.get_vocab_size()

    def token_ids(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length) int64 token ids; longer captions are cut before <end>. `ids != PAD_ID` is the mask."""
        rows = torch.full((len(captions), length), PAD_ID)
        for row, encoding in zip(rows, self._tokenizer.encode_batch(list(captions)), strict=True):
            ids = encoding.ids if len(encoding.ids) <= length else [*encoding.ids[: length - 1], END_ID]
            row[: len(ids)] = torch.tensor(ids)
        return rows  # (B, L)

    def count(self, captions: Sequence[str]) -> list[int]:
        """Tokens of each caption, <start> and <end> among them, uncut."""
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(captions))]

    def rows(self, ids: Tensor) -> Tensor:
        """The ids themselves: a token has no n-grams."""
        return ids

    def decode(self, ids: Tensor) -> list[str]:
        """Captions of (B, L) ids, as normalised: lower case, without special tokens."""
        return [text.strip() for text in self._tokenizer.decode_batch(ids.tolist())]
