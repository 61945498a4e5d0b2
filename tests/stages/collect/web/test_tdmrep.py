"""tdmrep.json as its report tells it, and as files on the web are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.tdmrep import MAX_PARSED, MAX_RULES, Reservations


def reserves(rules: Any, path: str) -> bool:
    return Reservations(json.dumps(rules).encode()).reserves(f"https://example.com{path}") is not None


def test_the_first_rule_that_matches_counts() -> None:
    rules = [
        {"location": "/directory-a/", "tdm-reservation": 0},
        {"location": "/directory-b/html/", "tdm-reservation": 1, "tdm-policy": "https://example.com/p.json"},
        {"location": "/directory-b/images/*.jpg", "tdm-reservation": 1},
        {"location": "/exact$", "tdm-reservation": 1},
        {"location": "/", "tdm-reservation": 0},
        {"location": "/last/", "tdm-reservation": 1},
    ]
    assert not reserves(rules, "/directory-a/x.jpg")
    assert reserves(rules, "/directory-b/html/x")
    assert reserves(rules, "/directory-b/images/deep/x.jpg")
    assert not reserves(rules, "/directory-b/images/x.png")
    assert reserves(rules, "/exact")
    assert not reserves(rules, "/exactly")
    assert not reserves(rules, "/last/x")
    assert not reserves(rules[:4], "/else")


def test_the_rule_is_told_with_its_policy() -> None:
    rule = {
        "location": "/",
        "tdm-reservation": 1,
        "tdm-policy": "https://example.com/p.json",
        "x": ["y"] * 200,
    }
    words = Reservations(json.dumps([rule]).encode()).reserves("http://example.com/a.jpg")
    assert words == '{"location": "/", "tdm-reservation": 1, "tdm-policy": "https://example.com/p.json"}'


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ({"location": "/", "tdm-reservation": 1}, "/a", True),  # without its array
        ([{"location": "/", "tdm-reservation": "1"}], "/a", True),
        ([{"location": "*", "tdm-reservation": 1}], "/a", True),
        ([{"location": "a/", "tdm-reservation": 1}], "/a/b", True),
        ([{"location": "/a b#c/", "tdm-reservation": 1}], "/a%20b%23c/d", True),
        ([{"location": "/ä", "tdm-reservation": 1}], "/%C3%A4", True),
        ([{"location": "/", "tdm-reservation": 2}], "/a", False),
        ([{"location": "/", "tdm-reservation": "yes"}], "/a", False),
        ([{"location": "/"}, {"location": "/", "tdm-reservation": 1}], "/a", False),
        ([{"location": 7, "tdm-reservation": 1}, 5, None, [], {"tdm-reservation": 1}], "/a", False),
        ([3, {"location": "/", "tdm-reservation": 1}], "/a", True),
        ([], "/a", False),
        (None, "/a", False),
    ],
)
def test_what_is_malformed_reserves_nothing_and_hides_nothing(rules: Any, path: str, expected: bool) -> None:
    assert reserves(rules, path) is expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no such page</html>",
        b"[" * 100_000,
        b'{"location": "/", "tdm-reservation": 1',
        b"\xff\xfe\x00",
        b'[{"location": "/", "tdm-reservation": ' + b"1" * 5000 + b"}]",
        b"<html>no such page</html>" + b" " * MAX_PARSED,
    ],
    ids=["empty", "html", "deep", "cut", "bytes", "number", "large page"],
)
def test_a_file_that_is_none_reserves_nothing(body: bytes) -> None:
    assert Reservations(body).reserves("http://example.com/") is None


def test_odd_texts_in_a_file() -> None:
    odd = rb'{"location": "/a\ud800\u0000\n", "tdm-reservation": 1}'
    with_mark = b"\xef\xbb\xbf[" + odd + b', {"location": "/b", "tdm-reservation": 1}]'
    assert Reservations(with_mark).reserves("http://example.com/b") is not None


def test_what_is_too_much_to_be_read_reserves() -> None:
    few, last = [{"location": "/none", "tdm-reservation": 0}] * MAX_RULES, {"location": "/x"}
    assert not reserves(few, "/a")
    assert reserves([*few, last], "/a")
    assert not reserves([*few, last], "/none/a")  # of which a rule that is read speaks
    assert Reservations(b" [" + b" " * MAX_PARSED + b"]").reserves("http://example.com/a") is not None
    stars = [{"location": f"/*{'a' * 99}{number}", "tdm-reservation": 0} for number in range(400)]
    assert not reserves(stars[:100], "/a")
    assert reserves(stars, "/a")
    assert Reservations(json.dumps(stars[:100] * 20).encode()).size < 4 * MAX_PARSED


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "x"]), inner)
    ),
    max_leaves=8,
)


@given(values)
def test_no_json_is_too_odd_to_be_read(value: Any) -> None:
    rule = Reservations(json.dumps(value).encode("utf-8", "surrogatepass")).reserves("http://example.com/a")
    assert rule is None or len(rule) <= 300
