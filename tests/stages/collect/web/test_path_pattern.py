"""Patterns of paths: as Protego has them, each by itself, and with a bounded search."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from protego import Protego

from stages.collect.web.path_pattern import MAX_WILDCARD_CHARACTERS, PathPattern, within_bounds

PIECES = (
    *("a", "b", "/", "*", "$", "%", "%2A", "%2a", "%24", "%2F", "%25", "%41", "%C3", "%A9", "é", "?", "="),
    *("&", ".", "http://", "//", "index.html", "~", ";"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


@given(TEXTS, TEXTS)
@example("$", "")
@example("/a$", "a$b")
@example("/é*%C3%A9$", "%c3%a9/é")
def test_a_pattern_matches_what_it_matches_in_protego(pattern: str, path: str) -> None:
    url = f"http://example.com/{path}"
    rule = Protego.parse(f"User-agent: *\nDisallow: {pattern or '/'}")
    assert PathPattern(pattern).matches(url) is not rule.can_fetch(url, "*")


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("", "/", True),
        ("/a*c$", "/abc", True),
        ("/a*c$", "/abcd", False),
        ("*?", "/a", False),
        ("*?", "/a?", True),
        ("/a**b", "/axb", True),
        ("a", "/a", False),
    ],
)
def test_a_pattern_by_itself(pattern: str, path: str, expected: bool) -> None:
    assert PathPattern(pattern).matches(f"http://example.com{path}") is expected


def test_patterns_are_few_and_those_with_wildcards_are_short() -> None:
    assert within_bounds(["/a"] * 3, 3)
    assert not within_bounds(["/a"] * 4, 3)
    star = "*" + "a" * 127
    assert within_bounds(
        ["/" + "a" * MAX_WILDCARD_CHARACTERS, *[star] * (MAX_WILDCARD_CHARACTERS // 128)], 1000
    )
    assert not within_bounds([star] * (MAX_WILDCARD_CHARACTERS // 128 + 1), 1000)
