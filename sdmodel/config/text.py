"""What can be chosen of text encoders, and of how one is learned before it conditions a denoiser."""

from dataclasses import dataclass, field
from typing import Literal

from sdmodel.config.learning import NEUTRAL
from sdmodel.config.model import FORM

TextKind = Literal["transformer", "fasttext", "cnn", "rnn", "gru", "lstm", "bert", "clip", "t5"]
"""Text encoders by name; each is the module of that name in `sdmodel.text`."""


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """A text encoder, and how it learns where it conditions a denoiser."""

    __pydantic_config__ = FORM
    kind: TextKind = "transformer"
    """transformer, fasttext, cnn, rnn, gru and lstm are ours; bert, clip and t5 are transformers' own."""
    start: str = field(default="", metadata=NEUTRAL)  # its weights' digest is an input of the stage
    """A pretrained encoder of this kind: one of ours, "models/NAME@latest", or a folder in transformers'
    layout. It brings its own tokenizer and shape. Empty: random weights of the shape below."""
    rate: float = 1.0
    """Factor on the learning rate: 1 learns it jointly with the denoiser, 0.1 slowly, 0 freezes it."""
    width: int = 64
    """Channels of a token; of the recurrent ones, of both directions together."""
    layers: int = 1
    """Blocks, or layers of a recurrent encoder; fasttext and cnn have one."""
    heads: int = 4
    """Attention heads, of the queries too; must divide width."""
    queries: int = 8
    """Learned queries that pool the tokens for a denoiser; the first encoder's count."""
    length: int = 0
    """Tokens read of a caption; longer captions are cut, and a warning says how many are. 0 follows the
    training captions: as many as 99 of 100 have at most, in steps of 8 from 32 to 256, and no more than a
    pretrained encoder has places for."""
    vocabulary: int = 4096
    """Most entries of the tokenizer, which is learned from the training captions."""
    tokens: Literal["bpe", "words", "characters"] = "bpe"
    """Pieces of bytes (no caption has unknown ones), whole words, or characters; fasttext reads words."""
    positions: Literal["learned", "sinusoidal", "rotary"] = "learned"
    """How a transformer knows the order."""
    dropout: float = 0.0
    """Share of a token's channels left out between layers while it learns, [0, 1)."""
    kernels: tuple[int, ...] = (1, 3, 5)
    """Tokens that each of a cnn's parallel convolutions sees, odd."""
    ngrams: tuple[int, int] = (3, 5)
    """Shortest and longest pieces of a word that fasttext looks up, in characters."""
    buckets: int = 20_000
    """Entries of fasttext's table of pieces, into which they are hashed."""

    def __post_init__(self) -> None:
        """ValueError: a number is out of range."""
        for name in ("width", "layers", "heads", "queries", "buckets"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"text.{name}={value} must be at least 1")
        if self.length and self.length < 3:
            raise ValueError(
                f"text.length={self.length}: a caption's start and end alone take 2; take 3 or more, or 0 to "
                "follow the training captions"
            )
        if not self.rate >= 0:
            raise ValueError(f"text.rate={self.rate} must not be negative; 0 freezes the encoder")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"text.dropout={self.dropout} must lie in [0, 1)")
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels) or not self.kernels:
            raise ValueError(f"text.kernels={self.kernels}: odd numbers are needed, as (1, 3, 5)")
        if not 1 <= self.ngrams[0] <= self.ngrams[1]:
            raise ValueError(f"text.ngrams={self.ngrams}: shortest and longest, as (3, 5)")


CLUSTERS = ("cluster",)
"""Columns of a table of clusters."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What the text objective asks of an encoder: the weights of its losses, 0 leaves one out.

    Contrastive and masked or next need no label, labels needs some: with part of the rows labelled all of
    them learn together."""

    __pydantic_config__ = FORM
    contrastive: float = 1.0
    """Images and captions of a pair together; the image tower is that of `contrastive`."""
    labels: float = 0.0
    """Classes, or sets of tags, of the rows that have some."""
    masked: float = 0.0
    """Tokens that were hidden (Devlin et al. 2018, arXiv:1810.04805)."""
    next: float = 0.0
    """The token that follows; of a recurrent encoder's way back, the one before."""
    columns: tuple[str, ...] = ()
    """Columns of the labels: a text is a class, a list a set of tags; a row without one has no label."""
    clusters: str = field(default="", metadata=NEUTRAL)  # their digest is an input of the stage
    """A table of labels to take in the place of the dataset's own: a result of `sdflow cluster`."""
    labelled: float = 1.0
    """Share of the rows, chosen by their names, whose labels are used, (0, 1]."""
    mask: float = 0.15
    """Share of tokens that are hidden, (0, 1)."""
    noise: float = 0.0
    """Deviation of the noise on embeddings, in units of theirs; for consistency."""
    consistency: float = 0.0
    """Predictions from disturbed embeddings shall be those from clean ones: weight of their divergence."""
    flips: float = 0.0
    """Stop once at most this share of the validation's predictions changes under noise; 0: never."""

    def __post_init__(self) -> None:
        """ValueError: a number is out of range."""
        for name in ("contrastive", "labels", "masked", "next", "noise", "consistency", "flips"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"pretrain.{name}={value} must not be negative; 0 leaves it out")
        if not 0 < self.labelled <= 1:
            raise ValueError(f"pretrain.labelled={self.labelled} must lie in (0, 1]")
        if not 0 < self.mask < 1:
            raise ValueError(f"pretrain.mask={self.mask} must lie in (0, 1)")
        if (self.columns or self.clusters) and not self.labels:
            name = "columns" if self.columns else "clusters"
            raise ValueError(f"pretrain.{name}: nothing is learned of labels; set pretrain.labels, as 1.0")


def columns_of(config: PretrainConfig) -> tuple[str, ...]:
    """Columns of labels that are learned from."""
    return (config.columns or (CLUSTERS if config.clusters else ())) if config.labels else ()
