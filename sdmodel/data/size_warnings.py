"""Whether a set is too small for what shall learn from it: warnings with their figures and what to do.

A small set is no mistake, so nothing here refuses one. The questions: can the model memorise every picture
instead of what they have in common, how often is each seen, and of how many pictures does a word get its
meaning?
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sdmodel.config.train import PICTURING, WORDLESS, TrainConfig
from sdmodel.data.index import Index

NUMBERS = 1.0
"""Learned parameters for each number (channel of a pixel) of all pictures, from which on a model is large for
its set. Kadkhodaie et al. 2023, arXiv:2310.02557, trained some 7 million weights on pictures of 80 x 80 grey
pixels: up to 1,000 of them (6.4 million numbers) were kept by heart, from 10,000 on what they share was
learned."""
EPOCHS = 100
"""Times that each picture is seen, from which on a training is long for its set: several times what the
project's own examples take (the demo 23, 3,249 emoji 18), whose samples are no copies."""
SEEN = 5
"""Pictures with a word, below which it is rare. Even a large model that has seen everything needs 3 to 5
pictures to learn one new thing (Ruiz et al. 2022, arXiv:2208.12242)."""
RARE = 0.25
"""Share of what captions say in rare words, from which on it is warned of. Of 3,249 emoji, from which the
common glyphs were learned and the rare ones were not, it is 0.12; of 300 of them 0.33."""
MEDIAN = 20
"""Pictures with the median word, below which a set is small: a random start needs several times what a
pretrained one does. Of 3,249 emoji it is about 200; of 300 of them 16."""
LABELS = 100
"""Labels that teach, below which they are few: with ten classes ten each."""
LARGE = 100_000
"""Pictures from which on no set is small, and its words are not counted."""

# Scripts without spaces: Thai to Lao, Burmese, Khmer, kana and Han. Their characters stand for words.
ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{ALONE}]|[^\W_{ALONE}]+(?:['’][^\W_{ALONE}]+)*")


@dataclass(frozen=True)
class WordFrequencies:
    """How often the words of a set's captions occur; those in more than half of the pictures distinguish none
    and are left out."""

    median: float
    """Pictures in which a word of a caption occurs, its median over all that the captions say; 0 where they
    say nothing."""
    rare: float
    """Share of what the captions say in words that fewer than SEEN pictures have, [0, 1]."""
    rare_kinds: float
    """Share of the different words that fewer than SEEN pictures have, [0, 1]."""

    @classmethod
    def of(cls, captions: Sequence[Sequence[str]]) -> "WordFrequencies":
        """The frequencies in some pictures' captions, one or more each; a word counts once a picture."""
        vocabularies = [{word for text in own for word in WORD.findall(text.casefold())} for own in captions]
        pictures = Counter(word for words in vocabularies for word in words)
        kinds = {word: count for word, count in pictures.items() if count <= len(vocabularies) / 2}
        if not kinds:
            return cls(0.0, 0.0, 0.0)
        times = sorted(count for count in kinds.values() for _ in range(count))
        rare = [count for count in kinds.values() if count < SEEN]
        return cls(float(median(times)), sum(rare) / len(times), len(rare) / len(kinds))


def size_warnings(index: Index, config: TrainConfig, parameters: int = 0) -> list[str]:
    """Warnings before a training on few pictures, which it may overfit or memorise: a sentence or two each,
    for people; none where all is well.

    Args:
        index: the rows to train on.
        config: of the training.
        parameters: how many of the model's are learned; 0: not known, and not checked.
    """
    rows = len(index)
    if rows >= LARGE:
        return []
    messages = [_parameters(rows, config, parameters), _epochs(rows, config), _labels(rows, config)]
    if config.objective not in WORDLESS:
        messages.append(_words(index, config))
    return [words for words in messages if words]


def _parameters(rows: int, config: TrainConfig, parameters: int) -> str:
    numbers = rows * 3 * config.size**2
    if config.objective not in PICTURING or parameters < NUMBERS * numbers:
        return ""
    return (
        f"{rows:,} pictures of {config.size} pixels have {numbers:,} numbers, and the model learns "
        f"{parameters:,} parameters: it can learn the pictures by heart. "
        + _remedy(_started(config), _smaller(config), _varied(config), "add pictures")
    )


def _epochs(rows: int, config: TrainConfig) -> str:
    epochs = config.images / rows
    if epochs <= EPOCHS:
        return ""
    early = "" if config.validation.patience else "let it stop early (train.validation.every and .patience)"
    fewer = f"see fewer images (train.images={rows * EPOCHS} is {EPOCHS} times)"
    return f"Each of {rows:,} pictures is seen {epochs:,.0f} times. " + _remedy(fewer, early, _varied(config))


def _words(index: Index, config: TrainConfig) -> str:
    words = WordFrequencies.of(index.captions)
    if not words.median or (words.median >= MEDIAN and words.rare <= RARE):
        return ""
    return (
        f"A word of the captions occurs in {words.median:,.0f} of {len(index):,} pictures (median); "
        f"{words.rare_kinds:.0%} of the different words, {words.rare:.0%} of what captions say, occur in "
        f"fewer than {SEEN}. What is seen so seldom is hardly learned. "
        + _remedy(
            _words_known(config),
            "say the same things in the same words",
            "add pictures of what is rare",
        )
    )


def _labels(rows: int, config: TrainConfig) -> str:
    pretrain = config.pretrain
    most = round(rows * pretrain.labelled)
    if config.objective != "text" or not pretrain.labels or most >= LABELS:
        return ""
    more = "use more of them (train.pretrain.labelled=1)" if pretrain.labelled < 1 else "label more pictures"
    alone = "" if pretrain.contrastive else "learn from pictures as well (train.pretrain.contrastive=1)"
    return f"At most {most:,} labels teach: {pretrain.labelled:.0%} of {rows:,} pictures. " + _remedy(
        more, alone, "look at the validation's labels_right beside labels_taught_right"
    )


def _words_known(config: TrainConfig) -> str:
    """To begin with an encoder that has read more, where one can be named and is not."""
    started = config.start or config.continue_from
    named = started or any(text.start for text in (config.text, *config.texts))
    if named or config.objective == "contrastive":
        return ""
    return "begin with a text encoder that knows more words (train.text.start)"


def _remedy(*acts: str) -> str:
    """Those acts that are not made yet, as one sentence."""
    left = [act for act in acts if act]
    words = ", ".join(left[:-1]) + (" or " if left[:-1] else "") + left[-1]
    return f"{words[0].upper()}{words[1:]}."


def _started(config: TrainConfig) -> str:
    if not config.start:
        return "begin with a trained model (train.start)"
    return "" if config.lora.rank else "learn low-rank changes of it alone (train.lora.rank=16)"


def _smaller(config: TrainConfig) -> str:
    """The keys that say how large a model is; none where it is another's."""
    if config.start:
        return ""
    keys = {"unet": "channels", "unet2d": "channels", "dit": "width and .layers"}
    part = config.network if config.objective == "diffusion" else config.objective
    return f"take a smaller model (train.{part}.{keys.get(part, 'channels')})"


def _varied(config: TrainConfig) -> str:
    """Ways to vary pictures that the config does not use."""
    data = config.data
    ways = {"flip=true": data.flip, "crop=true": data.crop, "colour=0.2": data.colour}
    if config.objective == "diffusion":
        ways["augment=0.12"] = data.augment
    unused = ", ".join(f"train.data.{way}" for way, used in ways.items() if not used)
    return f"vary the pictures where captions allow it ({unused})" if unused else ""
