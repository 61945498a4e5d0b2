"""The file by which a site reserves the rights of text and data mining: /.well-known/tdmrep.json.

TDM Reservation Protocol, W3C community group, final report of 10 May 2024
(www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510): an array of objects, each with a pattern of
paths (`location`) and a value (`tdm-reservation`, 1 where rights are reserved); the first match counts.
"""

import json
import string
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from stages.collect.web.optout import quoted
from stages.collect.web.path_pattern import PathPattern, within_bounds

MAX_PARSED = 500 * 1024
"""Bytes above which a file is not read."""
MAX_RULES = 2000
"""Rules of a file that are read."""

_KEYS = ("location", "tdm-reservation", "tdm-policy")
_UNQUOTED = string.punctuation.replace("#", "")  # "#" would begin a comment of robots.txt


class _Rule(NamedTuple):
    words: str
    location: str
    pattern: PathPattern
    reserves: bool


class Reservations:
    """The rules of one tdmrep.json: rights reserved against text and data mining (TDM).

    What is malformed reserves nothing: a broken rule, or the whole file. What is too much to be read reserves
    whatever no rule before it speaks of.
    """

    def __init__(self, body: bytes) -> None:
        """Parse the body of a tdmrep.json."""
        items = _items(body) if len(body) <= MAX_PARSED else []
        self._unread = len(items) > MAX_RULES or (
            len(body) > MAX_PARSED and body.lstrip()[:1] in (b"[", b"{")
        )
        self._rules = [rule for item in items[:MAX_RULES] if (rule := _rule(item)) is not None]
        if not within_bounds((rule.location for rule in self._rules), MAX_RULES):
            self._rules, self._unread = [], True

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return sum(1000 + 4 * len(rule.location) for rule in self._rules)

    def reserves(self, url: str) -> str | None:
        """The rule, as JSON, that reserves what a URL holds; None where none does."""
        for rule in self._rules:
            if rule.pattern.matches(url):
                return rule.words if rule.reserves else None
        return "more rules than are read: taken as reserved" if self._unread else None


def _items(body: bytes) -> list[Any]:
    try:
        parsed = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return []
    return cast("list[Any]", parsed) if isinstance(parsed, list) else [parsed]


def _rule(item: Any) -> _Rule | None:
    if not isinstance(item, dict):
        return None
    rule = cast("dict[str, Any]", item)
    location = rule.get("location")
    if not isinstance(location, str) or not location.strip():
        return None
    path = quote(location.strip(), safe=_UNQUOTED, errors="replace")
    pattern = PathPattern(path if path[0] in "/*" else f"/{path}")
    evidence = {key: value for key in _KEYS if isinstance(value := rule.get(key), str | int)}
    return _Rule(quoted(json.dumps(evidence)), location, pattern, rule.get("tdm-reservation") in (1, "1"))
