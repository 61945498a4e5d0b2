"""Which column of a table is what, told by names and first values; every guess says why."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from stages.collect.sources.delimited import INDEX_COLUMNS
from stages.collect.sources.rows import text_of
from stages.collect.web.url import UrlError, host_of, normalise

Head = Mapping[str, Sequence[Any]]
"""The first rows of a table: column -> values."""

URL_NAMES = ("imageurl", "imgurl", "imagelink", "imageuri", "image", "img", "photourl", "src", "url", "uri")
PAGE_NAMES = ("pageurl", "sourceurl", "thumbnailurl", "thumburl", "licenceurl", "licenseurl", "landingurl")
CAPTION_NAMES = ("caption", "captions", "text", "texts", "txt", "alt", "alttext", "description", "prompt")
LICENCE_NAMES = ("licence", "license", "licencename", "licensename", "licenceurl", "licenseurl", "rights")
"""Names by which columns are known, in letters and digits alone; the first ones are liked best."""

MOST_COLUMNS = 40
"""Columns that are passed through without being chosen."""

_PICTURE_PATH = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic)(?:$|[?:])", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnGuess:
    """A guess at the roles of a table's columns: URL, captions, licence, and what is passed through."""

    url: str = ""
    """"" where none holds URLs."""
    captions: tuple[str, ...] = ()
    licence: str = ""
    passed: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict[str, str])
    """Config key -> sentence."""


def guess_columns(head: Head, others: Sequence[str] = ()) -> ColumnGuess:
    """Guess the roles of a table's columns by their names and first values.

    Args:
        head: its first rows, at least the columns that hold texts and numbers.
        others: columns that are there and can be none of this.
    """
    urls = sorted(
        (name for name in head if _share(head[name], _is_url) > 0.5), key=lambda n: _url_rank(head, n)
    )
    rows = max((len(values) for values in head.values()), default=0)
    why: dict[str, str] = {}
    url = urls[0] if urls else ""
    if url:
        good = sum(map(_is_url, head[url]))
        why["url_column"] = f"{good} of the first {rows} values are URLs.{_also('URLs are in', urls[1:])}"
        why |= _private(head[url])
    captions, why["caption_columns"] = _captions(head, [name for name in head if name not in urls])
    named = [name for name in head if _plain(name) in LICENCE_NAMES and name not in (url, *captions)]
    licences = sorted(named, key=lambda name: LICENCE_NAMES.index(_plain(name)))
    licence = licences[0] if licences else ""
    if licence:
        stated = sum(not _empty(value) for value in head[licence])
        why["licence_column"] = f"By its name; {stated} of the first {rows} rows state one."
    taken = (url, licence, *captions)
    rest = [name for name in head if name not in taken and name not in INDEX_COLUMNS]
    others = [*(name for name in head if name in INDEX_COLUMNS and name not in taken), *others]
    passed = tuple(rest[:MOST_COLUMNS])
    left = [*rest[MOST_COLUMNS:], *others]
    why["columns"] = (
        f"Everything else that a table can hold.{_also('Left out:', left)}"
        if rest
        else (f"There is nothing else.{_also('Left out:', left)}")
    )
    return ColumnGuess(url, captions, licence, passed, why)


def guess_caption(head: Head, names: Sequence[str]) -> tuple[str, str]:
    """The one of some columns that holds captions, and why it is thought so; "" where none can.

    Args:
        head: the first rows of the table.
        names: the columns to choose from.
    """
    captions, why = _captions(head, names)
    if not captions:
        captions = tuple(name for name in names if _share(head[name], _is_text) > 0.5)[:1]
        why = "No column looks like captions; this is the first of texts."
    return (captions[0], why) if captions else ("", "")


def _captions(head: Head, names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    texts = [name for name in names if any(not _empty(value) for value in head[name])]
    named = [name for name in texts if _plain(name) in CAPTION_NAMES or "caption" in _plain(name)]
    named = [name for name in named if _share(head[name], _is_text) > 0.5]
    if named:
        named.sort(key=_caption_rank)
        words = "By name" if len(named) > 1 else "By its name"
        return tuple(named), f"{words}; {_like(head, named[0])}"
    wordy = {name: _words(head[name]) for name in texts if _share(head[name], _is_text) > 0.9}
    best = max(wordy, key=lambda name: wordy[name], default="")
    if not best or wordy[best] < 2:
        return (), f"No column looks like captions.{_also('Texts are in', list(wordy))}"
    others = [name for name in wordy if name != best]
    return (best,), f"The column with most words; {_like(head, best)}{_also('Texts are in', others)}"


def _like(head: Head, name: str) -> str:
    values = [value for value in head[name] if not _empty(value)]
    example = text_of(values[0][0] if isinstance(values[0], list | tuple) else values[0]).strip()
    example = example if len(example) <= 60 else f"{example[:60]}…"
    return f"{len(values)} of the first {len(head[name])} rows have one, as {example!r}."


def _caption_rank(name: str) -> tuple[int, str]:
    plain = _plain(name)
    return (CAPTION_NAMES.index(plain) if plain in CAPTION_NAMES else len(CAPTION_NAMES), name)


def _url_rank(head: Head, name: str) -> tuple[float, int]:
    """Columns of pictures before those of pages."""
    plain = _plain(name)
    known = URL_NAMES.index(plain) if plain in URL_NAMES else len(URL_NAMES)
    known += 100 * (plain in PAGE_NAMES)
    pictures = _share(head[name], lambda value: bool(_PICTURE_PATH.search(text_of(value))))
    return (-round(pictures), known)


def _private(values: Sequence[Any]) -> dict[str, str]:
    """A word on hosts that are not public, where there are any."""
    for value in values:
        try:
            host = host_of(normalise(text_of(value)))
            private = host == "localhost" or not ip_address(host).is_global
        except (
            UrlError,
            ValueError,
        ):  # what collect refuses, and names, whose addresses nobody looks up here
            continue
        if private:
            words = f"{host} is no public address: it is asked only where its network is named here."
            return {"allow_networks": words}
    return {}


def _also(words: str, names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f" {words} {shown}{' too' if words.endswith(' in') else ''}." if names else ""


def _share(values: Sequence[Any], test: Callable[[Any], bool]) -> float:
    """Share of the values, missing ones aside, that pass."""
    stated = [value for value in values if not _empty(value)]
    return sum(map(test, stated)) / len(stated) if stated else 0.0


def _empty(value: Any) -> bool:
    return not (value if isinstance(value, list | tuple) else text_of(value).strip())


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))


def _is_text(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return isinstance(first, str) and not first.strip().replace(".", "", 1).lstrip("-").isdigit()


def _words(values: Sequence[Any]) -> float:
    texts = [text_of(value) for value in values if not _empty(value)]
    return sum(len(text.split()) for text in texts) / len(texts)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
