"""What a robots.txt asks of one crawler: RFC 9309, Crawl-delay, and the preferences of AIPREF.

Protego decides between rules. Which lines are meant for us is decided here: RFC 9309 (2.2.1) wants the whole
product token to match, where Protego takes a prefix of it, and the very line that decided is wanted as
evidence. `Content-Usage: [PATH] train-ai=n` is that of draft-ietf-aipref-attach-05; `Content-Signal:
ai-train=no`, Cloudflare's, is read alike.

A hostile file costs little: lines for other crawlers are never kept, so that agents are not multiplied with
rules, and a file with more rules for us than can be looked at for each URL forbids everything.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

from protego import Protego

from stages.collect.web.optout import quoted, reserves_training
from stages.collect.web.path_pattern import PathPattern, within_bounds

MAX_PARSED = 500 * 1024
"""Bytes of a robots.txt that are read (RFC 9309, 2.5)."""
MAX_RULES = 10_000
"""Different rules for us above which a file forbids everything: no more are looked at for each URL."""
MAX_PREFERENCES = 1_000
"""Different lines of preferences above which they are taken for a no."""
PARSED_CHARACTERS = 4_000_000
"""Of the lines of sites that are held ready for matching, which takes some thirty times their memory."""
_OVERHEAD = 100

_AGENT = re.compile(r"user[- ]?agent\s*[:\s]\s*([a-z_-]+|\*(?!\S))?", re.IGNORECASE)
_DISALLOW = re.compile(
    r"di\w+w\s*[:\s]\s*(.+)", re.IGNORECASE
)  # and the misspellings that Protego takes for it
_RULE = re.compile(r"(?:allow|di\w+w|crawl[- ]delay)\s*[:\s]", re.IGNORECASE)
_PREFERENCE = re.compile(r"content-(?:usage|signal)\s*:\s*(?:(/\S*)\s+)?(.*)", re.IGNORECASE)


class Robots:
    """The lines of one robots.txt that hold for one crawler. Small: of many sites only the lines are
    cached."""

    def __init__(self, body: bytes, agent: str) -> None:
        """Parse the body of a robots.txt.

        Args:
            body: of the answer; what stands behind MAX_PARSED bytes does not count.
            agent: our product token, compared without regard to case.
        """
        if len(body) > MAX_PARSED:
            body = body[:MAX_PARSED].rpartition(b"\n")[0]
        rules, preferences = _lines_for(agent, body.decode("utf-8-sig", "replace"))
        self._too_many_rules = not within_bounds(rules, MAX_RULES)
        self._too_many_preferences = not within_bounds(preferences, MAX_PREFERENCES)
        self._rules = "" if self._too_many_rules else "\n".join(rules)
        self._preferences = "" if self._too_many_preferences else "\n".join(preferences)

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self._rules) + len(self._preferences)

    @property
    def crawl_delay(self) -> float | None:
        """Seconds from one request to the next that the site asks for; None where it asks for none."""
        return _rules(self._rules).parsed.crawl_delay("*")

    def forbids(self, url: str) -> str | None:
        """The line that forbids to fetch a URL; None where it may be fetched."""
        if self._too_many_rules:
            return "more rules than are read: everything is taken as forbidden"
        rules = _rules(self._rules)
        return None if rules.parsed.can_fetch(url, "*") else rules.forbidding(url)

    def reserves(self, url: str) -> str | None:
        """The Content-Usage or Content-Signal line that says no to training on what a URL holds, if any.

        Of the lines that speak of training, the one with the longest path that matches decides, of two
        contrary ones with the same path the stricter (draft-ietf-aipref-attach-05, 3.1).
        """
        if self._too_many_preferences:
            return "more preferences than are read: taken for a no to training"
        for line in _preferences(self._preferences).lines:
            if line.pattern.matches(url):
                return line.words if line.reserves else None
        return None


class _Line(NamedTuple):
    words: str
    length: int
    """Of its path: the longest that matches decides."""
    pattern: PathPattern
    reserves: bool = True


class _Rules:
    """Allow, Disallow and Crawl-delay, made ready for matching."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.parsed = Protego.parse(f"User-agent: *\n{text}")

    def forbidding(self, url: str) -> str:
        """The line with the longest path that matches a URL that is forbidden."""
        return next((line.words for line in self._disallowing if line.pattern.matches(url)), "Disallow")

    @cached_property
    def _disallowing(self) -> list[_Line]:
        """Made where something is forbidden, which is seldom; longest path first, as it decides."""
        lines = [
            _Line(quoted(line), len(match[1]), PathPattern(match[1].strip()))
            for line in self._lines
            if (match := _DISALLOW.match(line))
        ]
        return sorted(lines, key=lambda line: -line.length)


class _Group:
    """A robots.txt group: the lines for one crawler, in order, as keys."""

    def __init__(self) -> None:
        self.rules: dict[str, None] = {}
        self.preferences: dict[str, None] = {}


class _Preferences:
    """Content-Usage and Content-Signal, made ready for matching."""

    def __init__(self, text: str) -> None:
        lines: list[_Line] = []
        for line in text.split("\n"):
            match = _PREFERENCE.match(line)
            reserves = reserves_training(match[2]) if match else None
            if match and reserves is not None:
                path = match[1] or ""
                lines.append(_Line(quoted(line), len(path), PathPattern(path), reserves))
        self.lines = sorted(lines, key=lambda line: (-line.length, not line.reserves))
        """The longest path first, of equal ones the stricter."""


T = TypeVar("T")


class _ParserCache(Generic[T]):
    """Parsed lines, the least recently used dropped first: an LRU cache of PARSED_CHARACTERS. Thread-safe."""

    def __init__(self, parse: Callable[[str], T]) -> None:
        self._parse = parse
        self._lock = Lock()
        self._parsed: OrderedDict[str, T] = OrderedDict()
        self._characters = 0

    def __call__(self, text: str) -> T:
        with self._lock:
            if text in self._parsed:
                self._parsed.move_to_end(text)
                return self._parsed[text]
        parsed = self._parse(text)  # outside of the lock: no site waits for another's lines
        with self._lock:
            if text not in self._parsed:
                self._parsed[text] = parsed
                self._characters += len(text) + _OVERHEAD
            while self._characters > PARSED_CHARACTERS and len(self._parsed) > 1:
                self._characters -= len(self._parsed.popitem(last=False)[0]) + _OVERHEAD
        return parsed


_rules = _ParserCache(_Rules)
_preferences = _ParserCache(_Preferences)


def _lines_for(agent: str, text: str) -> tuple[list[str], list[str]]:
    """The rules and the preferences of all groups that name a crawler; without any, of those that name all.

    Each line once. A preference before any group is meant for all. Lines of other kinds neither end a group's
    head nor count.
    """
    everyone, ours = _Group(), None
    for_us, for_everyone = False, True
    in_head, before_groups = False, True
    for raw in text.splitlines():  # at all that Protego takes for the end of a line
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if match := _AGENT.match(line):
            if not in_head:
                for_us = for_everyone = False
            in_head, before_groups = True, False
            name = (match[1] or "").lower()
            for_everyone = for_everyone or name == "*"
            if name == agent.lower():
                for_us, ours = True, ours or _Group()
        elif (rule := _RULE.match(line)) or _PREFERENCE.match(line):
            in_head = False
            if rule and before_groups:
                continue
            for group in (everyone if for_everyone else None, ours if for_us else None):
                if group is not None:
                    lines = group.rules if rule else group.preferences
                    lines.pop(line, None)
                    lines[line] = None  # of two delays the last counts
    group = everyone if ours is None else ours
    return list(group.rules), list(group.preferences)
