"""What a robots.txt asks of one crawler: RFC 9309, Crawl-delay, and the preferences of AIPREF.

Protego matches paths. Which lines are meant for us is decided here: RFC 9309 (2.2.1) wants the whole product
token to match, where Protego takes a prefix of it, and the very line that decided is wanted as evidence.
`Content-Usage: [PATH] train-ai=n` is that of draft-ietf-aipref-attach-05; `Content-Signal: ai-train=no`,
Cloudflare's, is read alike.
"""

import re
from functools import cached_property, lru_cache
from typing import NamedTuple

from protego import Protego

from stages.collect.optout import quoted, reserves_training

MAX_PARSED = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309, 2.5)."""

_AGENT = re.compile(r"user[- ]?agent\s*[:\s]\s*([a-z_-]+|\*(?!\S))?", re.IGNORECASE)
_DISALLOW = re.compile(
    r"di\w+w\s*[:\s]\s*(.+)", re.IGNORECASE
)  # and the misspellings that Protego takes for it
_RULE = re.compile(r"(?:allow|di\w+w|crawl[- ]delay)\s*[:\s]", re.IGNORECASE)
_PREFERENCE = re.compile(r"content-(?:usage|signal)\s*:\s*(?:(/\S*)\s+)?(.*)", re.IGNORECASE)


class PathPattern:
    """A path as robots.txt writes it: a prefix, "*" for anything, "$" for the end (RFC 9309, 2.2.3)."""

    def __init__(self, path: str) -> None:
        """A pattern; an empty one matches every path."""
        self._rule = Protego.parse(f"User-agent: *\nDisallow: {path or '/'}")

    def matches(self, url: str) -> bool:
        """Whether a URL's path, with its query, matches."""
        return not self._rule.can_fetch(url, "*")


class Robots:
    """The lines of one robots.txt that hold for one crawler. Small: of many sites only the lines are kept."""

    def __init__(self, body: bytes, agent: str) -> None:
        """Read a file.

        Args:
            body: of the answer; what stands behind MAX_PARSED bytes does not count.
            agent: our product token, compared without regard to case.
        """
        if len(body) > MAX_PARSED:
            body = body[:MAX_PARSED].rpartition(b"\n")[0]
        self._text = "\n".join(_lines_for(agent, body.decode("utf-8-sig", "replace")))

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self._text)

    @property
    def crawl_delay(self) -> float | None:
        """Seconds from one request to the next that the site asks for; None where it asks for none."""
        return self._rules.parsed.crawl_delay("*")

    def forbids(self, url: str) -> str | None:
        """The line that forbids to fetch a URL; None where it may be fetched."""
        if self._rules.parsed.can_fetch(url, "*"):
            return None
        return next((line.words for line in self._rules.disallowing if line.pattern.matches(url)), "Disallow")

    def reserves(self, url: str) -> str | None:
        """The Content-Usage or Content-Signal line that says no to training on what a URL holds, if any.

        Of the lines that speak of training, the one with the longest path that matches decides, of two
        contrary ones with the same path the stricter (draft-ietf-aipref-attach-05, 3.1).
        """
        for line in self._rules.preferences:
            if line.pattern.matches(url):
                return line.words if line.reserves else None
        return None

    @property
    def _rules(self) -> "_Rules":
        return (_few_rules if len(self._text) <= 65536 else _many_rules)(self._text)


class _Line(NamedTuple):
    words: str
    length: int
    """Of its path: the longest that matches decides."""
    pattern: PathPattern
    reserves: bool = True


class _Rules:
    """Lines made ready for matching, which takes thirty times their memory."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.parsed = Protego.parse(f"User-agent: *\n{text}")

    @cached_property
    def disallowing(self) -> list[_Line]:
        """Made where something is forbidden, which is seldom; longest path first, as it decides."""
        lines = [
            _Line(quoted(line), len(found[1]), PathPattern(found[1]))
            for line in self._lines
            if (found := _DISALLOW.match(line))
        ]
        return sorted(lines, key=lambda line: -line.length)

    @cached_property
    def preferences(self) -> list[_Line]:
        lines: list[_Line] = []
        for line in self._lines:
            found = _PREFERENCE.match(line)
            reserves = reserves_training(found[2]) if found else None
            if found and reserves is not None:
                path = found[1] or ""
                lines.append(_Line(quoted(line), len(path), PathPattern(path), reserves))
        return sorted(lines, key=lambda line: (-line.length, not line.reserves))


_few_rules = lru_cache(maxsize=1024)(_Rules)
_many_rules = lru_cache(maxsize=8)(_Rules)


def _lines_for(agent: str, text: str) -> list[str]:
    """The lines of all groups that name a crawler; without any, of those that name all crawlers.

    A preference before any group is meant for all. Lines of other kinds neither end a group's head nor count.
    """
    groups: dict[str, list[str]] = {}
    named = {"*"}
    in_head, before_any = False, True
    for raw in re.split(r"[\r\n]+", text):
        line = raw.partition("#")[0].strip()
        if found := _AGENT.match(line):
            if not in_head:
                named = set[str]()
            in_head, before_any = True, False
            named.add((found[1] or "").lower())
            for name in named:
                groups.setdefault(name, [])
        elif (rule := _RULE.match(line)) or _PREFERENCE.match(line):
            in_head = False
            if not (rule and before_any):
                for name in named:
                    groups.setdefault(name, []).append(line)
    return groups.get(agent.lower(), groups.get("*", []))
