"""Patterns of paths as sites write them: "*" for anything, "$" for the end (RFC 9309, 2.2.3).

Protego decides between the rules of a robots.txt. Where one pattern is wanted by itself (a preference, the
line that decided, a rule of tdmrep.json), it is matched here, as Protego would: a URL's path is brought into
the spelling of patterns once, and not for each of thousands of patterns, at a millisecond each.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, urlsplit

MAX_WILDCARD_CHARACTERS = 32_768
"""Characters of the patterns with "*" in one file, all together. Searching a URL for them takes at worst as
many steps as both have characters, multiplied: a URL has 4,096 at most (`url.MAX_URL`)."""

_ASTERISKS = re.compile(r"\*+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


class PathPattern:
    """A pattern of paths: a prefix, in which "*" stands for anything, and "$" behind it for the end."""

    __slots__ = ("_parts", "_parts_at_end")

    def __init__(self, path: str) -> None:
        """A pattern; an empty one matches every path."""
        if path.startswith(("https://", "http://")):  # written so by mistake: a path that holds a URL
            path = f"/{path}"
        # A dollar at the end can also be meant as the character.
        self._parts = _parts(path or "/")
        self._parts_at_end = _parts(path[:-1]) if path.endswith("$") else None

    def matches(self, url: str) -> bool:
        """Whether a URL's path, with its query, matches."""
        path = _path(url)
        return _matches(path, self._parts, at_end=False) or (
            self._parts_at_end is not None and _matches(path, self._parts_at_end, at_end=True)
        )


def within_bounds(patterns: Iterable[str], most: int) -> bool:
    """Whether the patterns of a file are few enough to be matched with every URL of its site.

    Args:
        patterns: patterns, or lines that hold one each.
        most: patterns; those with "*" have MAX_WILDCARD_CHARACTERS besides.
    """
    characters = 0
    for count, pattern in enumerate(patterns, 1):
        characters += len(pattern) if "*" in pattern else 0
        if count > most or characters > MAX_WILDCARD_CHARACTERS:
            return False
    return True


def _matches(path: str, parts: tuple[str, ...], *, at_end: bool) -> bool:
    """Whether parts stand in a path in their order, the first at its beginning."""
    first, *others = parts
    if not path.startswith(first):
        return False
    if not others:
        return not at_end or len(path) == len(first)
    position = len(first)
    *middle, last = others
    for part in middle:
        start = path.find(part, position)
        if start < 0:
            return False
        position = start + len(part)
    if at_end:
        return len(path) - len(last) >= position and path.endswith(last)
    return path.find(last, position) >= 0


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(_spelled(part, b"/%*") for part in _ASTERISKS.split(pattern))


@lru_cache(maxsize=64)
def _path(url: str) -> str:
    """Path and query of a URL in the spelling of patterns."""
    url = url.partition("#")[0]
    split = urlsplit(url)
    path = _spelled(split.path + (f"?{split.query}" if "?" in url else ""), b"/%")
    return path if path.startswith("/") else f"/{path}"


def _spelled(text: str, escaped: bytes) -> str:
    """One spelling for text that means the same: escapes decoded but for some, and made where needed."""

    def decoded(escape: re.Match[bytes]) -> bytes:
        byte = bytes.fromhex(escape[1].decode())
        return escape[0].upper() if byte in escaped else byte

    return quote(_ESCAPE.sub(decoded, text.encode("utf-8", "replace")).decode("utf-8", "replace"), safe="/%=")
