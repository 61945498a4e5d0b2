"""A tokenizer learned from the training captions: byte-level BPE, so that no caption has unknown words.

The same captions give the same tokenizer, to the byte. It is one file, `tokenizer.json` of Hugging Face's
`tokenizers`, which `transformers` and so open_clip load as a `PreTrainedTokenizerFast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

PAD, START, END = "<pad>", "<start>", "<end>"
PAD_ID, START_ID, END_ID = 0, 1, 2
FILE = "tokenizer.json"


class Tokenizer:
    """Captions to token ids and back. A caption becomes <start> tokens <end> <pad> ..., even an empty one."""

    def __init__(self, tokenizer: HFTokenizer):
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, captions: Iterable[str], vocabulary: int = 4096) -> Tokenizer:
        """Learns at most `vocabulary` entries; 259 of them are the bytes and the three special tokens.

        ValueError: vocabulary is below 259."""
        if vocabulary < 259:
            raise ValueError(
                f"vocabulary={vocabulary}: at least 259 entries are needed (256 bytes, 3 special tokens)"
            )
        tokenizer = HFTokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,  # a word seen once teaches nothing: it is better read in pieces that were seen
            special_tokens=[PAD, START, END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
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

    def encode(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length) int64 token ids; longer captions are cut before <end>. `ids != PAD_ID` is the mask."""
        rows = torch.full((len(captions), length), PAD_ID)
        for row, encoding in zip(rows, self._tokenizer.encode_batch(list(captions)), strict=True):
            ids = encoding.ids if len(encoding.ids) <= length else [*encoding.ids[: length - 1], END_ID]
            row[: len(ids)] = torch.tensor(ids)
        return rows  # (B, L)

    def decode(self, ids: Tensor) -> list[str]:
        """Captions of (B, L) ids, as normalised: lower case, without special tokens."""
        return [text.strip() for text in self._tokenizer.decode_batch(ids.tolist())]
