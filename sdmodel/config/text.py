"""What can be chosen of text encoders, and of how one is learned before it conditions a denoiser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, MinLen

from sdmodel.config.limits import NEUTRAL, Config, Count, Depth, Dropout, Mistake, Share, Side, Weight, Word

LEAST_ENTRIES = {"bpe": 260, "words": 6, "characters": 6}
"""Fewest entries of a tokenizer: of bpe the 256 bytes and 4 special tokens, of others 5 and a word."""
RECURRENT = ("rnn", "gru", "lstm")
"""Encoders that read from both sides."""
FORETELLING = ("transformer", *RECURRENT, "clip")
"""Encoders that can be kept from seeing the tokens to come."""
ATTENDING = ("transformer", "bert", "clip", "t5")
"""Encoders that are made of attention."""

TextKind = Literal["transformer", "fasttext", "cnn", "rnn", "gru", "lstm", "bert", "clip", "t5"]
"""Text encoders by name; each is the module of that name in `sdmodel.text`."""


@dataclass(frozen=True, kw_only=True)
class TextConfig(Config):
    """A text encoder, and how it learns where it conditions a denoiser."""

    kind: TextKind = "transformer"
    """transformer, fasttext, cnn, rnn, gru and lstm are ours; bert, clip and t5 are transformers' own."""
    start: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """A pretrained encoder of this kind: one of ours, "models/NAME@latest", or a folder in transformers'
    layout. It brings its own tokenizer and shape. Empty: random weights of the shape below."""
    rate: Weight = 1.0
    """Factor on the learning rate: 1 learns it jointly with the denoiser, 0.1 slowly, 0 freezes it."""
    width: Side = 64
    """Channels of a token; of the recurrent ones, of both directions together."""
    layers: Depth = 1
    """Blocks, or layers of a recurrent encoder; fasttext and cnn have one."""
    heads: Side = 4
    """Attention heads, of the queries too; must divide width."""
    queries: Side = 8
    """Learned queries that pool the tokens for a denoiser; the first encoder's count."""
    length: Annotated[int, Interval(ge=0, le=65_536)] = 0
    """Tokens read of a caption; longer captions are cut, and a warning says how many are. 0 follows the
    training captions: as many as 99 of 100 have at most, in steps of 8 from 32 to 256, and no more than a
    pretrained encoder has places for."""
    vocabulary: Annotated[int, Interval(ge=6, le=10_000_000)] = 4096
    """Most entries of the tokenizer, which is learned from the training captions."""
    tokens: Literal["bpe", "words", "characters"] = "bpe"
    """Pieces of bytes (no caption has unknown ones), whole words, or characters; fasttext reads words."""
    positions: Literal["learned", "sinusoidal", "rotary"] = "rotary"
    """How a transformer knows the order. rotary turns what is compared by how far apart two tokens stand, and
    learns order sooner than what is added to the tokens, learned or sinusoidal."""
    dropout: Dropout = 0.0
    """Share of a token's channels left out between layers while it learns, [0, 1)."""
    kernels: Annotated[tuple[Side, ...], MinLen(1)] = (1, 3, 5)
    """Tokens that each of a cnn's parallel convolutions sees, odd."""
    ngrams: tuple[Side, Side] = (3, 5)
    """Shortest and longest pieces of a word that fasttext looks up, in characters."""
    buckets: Count = 20_000
    """Entries of fasttext's table of pieces, into which they are hashed."""

    def conflicts(self) -> Iterator[Mistake]:
        """Numbers that an encoder cannot have; a pretrained one brings its own shape."""
        if 0 < self.length < 3:
            yield self.mistake(
                "must be 3 or more, as a caption's start and end take 2; 0 follows the training captions",
                "length",
            )
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            yield self.mistake(f"must be odd numbers, as [1, 3, 5], not {even}", "kernels")
        if self.ngrams[0] > self.ngrams[1]:
            yield self.mistake("must be the shortest and then the longest, as [3, 5]", "ngrams")
        if not self.start:
            yield from self._shape()

    def _shape(self) -> Iterator[Mistake]:
        own, width = self.kind == "transformer", self.width
        if self.kind in ATTENDING and width % self.heads:
            yield self.mistake("heads must divide width", "width", "heads")
        elif own and self.positions == "rotary" and width // self.heads % 2:
            yield self.mistake(
                "rotary positions turn pairs of a head's channels; make width / heads even, or take learned "
                "positions",
                *("positions", "width", "heads"),
            )
        if width % 2 and self.kind in RECURRENT:
            yield self.mistake(f"two directions share the width; take {width + 1}", "kind", "width")
        if width % 2 and own and self.positions == "sinusoidal":
            yield self.mistake(f"sines and cosines share the width; take {width + 1}", "positions", "width")
        least = LEAST_ENTRIES["words" if self.kind == "fasttext" else self.tokens]
        if self.vocabulary < least:
            yield self.mistake(f"take {least} entries or more", "vocabulary", "tokens")


CLUSTERS = ("cluster",)
"""Columns of a table of clusters."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Config):
    """What the text objective asks of an encoder: the weights of its losses, 0 leaves one out.

    Contrastive and masked or next need no label, labels needs some: with part of the rows labelled all of
    them learn together."""

    contrastive: Weight = 1.0
    """Images and captions of a pair together; the image tower is that of `contrastive`."""
    labels: Weight = 0.0
    """Classes, or sets of tags, of the rows that have some."""
    masked: Weight = 0.0
    """Tokens that were hidden (Devlin et al. 2018, arXiv:1810.04805)."""
    next: Weight = 0.0
    """The token that follows; of a recurrent encoder's way back, the one before."""
    columns: tuple[Word, ...] = ()
    """Columns of the labels: a text is a class, a list a set of tags; a row without one has no label."""
    clusters: str = field(default="", metadata=NEUTRAL)  # their digest is an input of the stage
    """A table of labels to take in the place of the dataset's own: a result of `sdflow cluster`."""
    labelled: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of the rows, chosen by their names, whose labels are used, (0, 1]."""
    mask: Annotated[float, Interval(gt=0, lt=1)] = 0.15
    """Share of tokens that are hidden, (0, 1)."""
    noise: Weight = 0.0
    """Deviation of the noise on embeddings, in units of theirs; for consistency."""
    consistency: Weight = 0.0
    """Predictions from disturbed embeddings shall be those from clean ones: weight of their divergence."""
    flips: Share = 0.0
    """Stop once at most this share of the validation's predictions changes under noise; 0: never."""

    def conflicts(self) -> Iterator[Mistake]:
        """Labels that nothing learns from, and noise that is needed."""
        for name in ("columns", "clusters"):
            if getattr(self, name) and not self.labels:
                yield self.mistake("nothing is learned of labels; set labels, as 1.0", name, "labels")
        for name in ("consistency", "flips"):
            if getattr(self, name) and not self.noise:
                yield self.mistake("without noise no prediction changes; set noise, as 0.5", name, "noise")


def columns_of(config: PretrainConfig) -> tuple[str, ...]:
    """Columns of labels that are learned from."""
    return (config.columns or (CLUSTERS if config.clusters else ())) if config.labels else ()
