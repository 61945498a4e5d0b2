"""Words and their pieces: the vocabulary of fastText (Bojanowski et al. 2016, arXiv:1607.04606, section 3.2).

A word is known by its own row and by those of its character n-grams, taken with signs for its beginning and
end: "cat" has "<ca", "cat", "at>" and so on. They are hashed into a table of fixed size, so that a word that
was never seen still has rows, which it shares with words that are written alike.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from sdmodel.text.tokenizer import END_ID, PAD_ID, START_ID, UNKNOWN_ID, Tokenizer

PIECES = 32
"""Most n-grams of a word, the short ones first: with 3 to 5 characters, all of words up to 11."""
FILE = "subwords.json"
OFFSET, PRIME = 2166136261, 16777619
"""Of FNV-1a with 32 bits."""


class Subwords:
    """Captions to ids (B, L, 1 + PIECES): of a word, then of its n-grams, 0 where it has no more.

    Ids of words are 0 to len - 1, those of n-grams len to rows_needed - 1. An unknown word has the id of
    unknown words and its own n-grams."""

    def __init__(self, words: Tokenizer, ngrams: tuple[int, int], buckets: int):
        """See `TextConfig.ngrams` and `buckets`; `words` splits captions into whole words."""
        self.words, self.ngrams, self.buckets = words, ngrams, buckets
        self.pad, self.mask, self.special = words.pad, words.mask, words.special
        self.rows_needed = len(words) + buckets
        self._ids: dict[str, int] = words._tokenizer.get_vocab()
        self._table = torch.full((len(words), 1 + PIECES), PAD_ID)
        self._table[:, 0] = torch.arange(len(words))
        for word, id in self._ids.items():
            if id not in self.special:
                self._set_pieces(self._table[id], word)

    @classmethod
    def learn(cls, captions: Iterable[str], vocabulary: int, ngrams: tuple[int, int], buckets: int) -> Self:
        """Learns at most `vocabulary` words. ValueError: that is too few for what it must hold."""
        return cls(Tokenizer.learn(captions, vocabulary, "words"), ngrams, buckets)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote into `folder`."""
        settings = json.loads((folder / FILE).read_text())
        return cls(Tokenizer.load(folder), tuple(settings["ngrams"]), settings["buckets"])

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`, of the words, and `subwords.json` into `folder`."""
        self.words.save(folder)
        settings = {"ngrams": self.ngrams, "buckets": self.buckets}
        (folder / FILE).write_text(json.dumps(settings, sort_keys=True) + "\n")

    def __len__(self) -> int:
        """Known words and special tokens."""
        return len(self.words)

    def token_ids(self, captions: Sequence[str], length: int) -> Tensor:
        """(B, length, 1 + PIECES) int64; longer captions are cut before <end>."""
        split = [self.split(caption)[: length - 2] for caption in captions]
        ids = torch.full((len(captions), length), PAD_ID)
        for row, words in zip(ids, split, strict=True):
            known = [self._ids.get(word, UNKNOWN_ID) for word in words]
            row[: len(words) + 2] = torch.tensor([START_ID, *known, END_ID])
        rows = self.rows(ids)
        for b, place in (ids == UNKNOWN_ID).nonzero().tolist():
            self._set_pieces(rows[b, place], split[b][place - 1])
        return rows

    def count(self, captions: Sequence[str]) -> list[int]:
        """Words of each caption, <start> and <end> among them, uncut."""
        return [len(self.split(caption)) + 2 for caption in captions]

    def rows(self, ids: Tensor) -> Tensor:
        """Ids of words and special tokens, of any shape, to (..., 1 + PIECES)."""
        return self._table.to(ids.device)[ids]

    def split(self, caption: str) -> list[str]:
        """The caption's words and signs, as normalised."""
        tokenizer: Any = self.words._tokenizer
        text = tokenizer.normalizer.normalize_str(caption)
        return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]

    def _set_pieces(self, row: Tensor, word: str) -> None:
        hashes = ngram_hashes(word, self.ngrams)
        row[1 : 1 + len(hashes)] = torch.tensor([len(self) + piece % self.buckets for piece in hashes])


@lru_cache(maxsize=2**16)
def ngram_hashes(word: str, ngrams: tuple[int, int]) -> tuple[int, ...]:
    """Hashes of the word's n-grams, the shorter first, at most PIECES of them."""
    return tuple(fnv1a(piece) for piece in islice(_ngrams(f"<{word}>", *ngrams), PIECES))


def _ngrams(text: str, shortest: int, longest: int) -> Iterator[str]:
    for n in range(shortest, longest + 1):
        for start in range(len(text) - n + 1):
            yield text[start : start + n]


def fnv1a(text: str) -> int:
    """Fowler, Noll and Vo's hash FNV-1a of the text's UTF-8, 32 bits."""
    h = OFFSET
    for byte in text.encode():
        h = (h ^ byte) * PRIME % 2**32
    return h
