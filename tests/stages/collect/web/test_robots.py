"""robots.txt: groups, longest match, sizes and odd bytes by RFC 9309; preferences by AIPREF's drafts."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.path_pattern import MAX_WILDCARD_CHARACTERS
from stages.collect.web.robots import MAX_PARSED, MAX_PREFERENCES, MAX_RULES, Robots
from tests.work import calls, peak


def robots(text: str | bytes, agent: str = "sdflow") -> Robots:
    return Robots(text.encode() if isinstance(text, str) else text, agent)


def allowed(text: str | bytes, path: str, agent: str = "sdflow") -> bool:
    return robots(text, agent).forbids(f"https://example.com{path}") is None


# RFC 9309, 5.1
SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "path", "expected"),
    [
        ("anybot", "/example/page.html", False),
        ("anybot", "/a.gif", False),
        ("anybot", "/a.gif?x=1", True),
        ("anybot", "/publications/a", True),
        ("anybot", "/else", True),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/example/other", False),
        ("FooBot", "/else", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("barbot", "/a.gif", True),  # the group for all does not hold beside one's own
        ("quxbot", "/example/page.html", True),  # an own group without rules
    ],
)
def test_the_example_of_the_rfc(agent: str, path: str, expected: bool) -> None:
    assert allowed(SIMPLE, path, agent) is expected


def test_the_longest_match_of_the_rfc() -> None:  # 5.2
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert not allowed(text, "/example/page/disallowed.gif", "foobot")
    assert allowed(text, "/example/page/allowed.gif", "foobot")


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("Disallow: /a\nAllow: /a", "/a", True),  # of two alike Allow counts (2.2.2)
        ("Disallow:", "/a", True),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /A", "/a", True),
        ("disallow : /a", "/a/b", False),
        ("DISALLOW:/a # no pictures", "/a", False),
        ("Disallow: /a%3Cd.html", "/a%3cd.html", False),
        ("Disallow: /~joe/", "/%7Ejoe/x.jpg", False),
        ("Disallow: /bilder/ä", "/bilder/%C3%A4.jpg", False),
        ("Disallow: /*/private/", "/x/private/y.jpg", False),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /*?", "/a", True),
        ("Disallow: /a$", "/ab", True),
        ("Dissallow: /a", "/a", False),
        ("Sitemap: https://example.com/s.xml\nDisallow: /a", "/a", False),
        ("Noindex: /a", "/a", True),
    ],
)
def test_rules(rules: str, path: str, expected: bool) -> None:
    assert allowed(f"User-agent: *\n{rules}\n", path) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User-agent: SDFLOW\nDisallow: /", False),
        ("User-agent: sdflow/0.1 (contact)\nDisallow: /", False),
        ("User-agent: sd\nDisallow: /", True),  # the whole token
        ("User-agent: sdflow-images\nDisallow: /", True),
        ("User-agent: sd\nAllow: /\n\nUser-agent: *\nDisallow: /", False),
        ("User-agent: sdflow\nAllow: /\nUser-agent: *\nDisallow: /", True),
        ("User-agent: *\nDisallow: /\nUser-agent: sdflow\nDisallow: /b\n", True),
        (
            "User-agent: sdflow\nDisallow: /b\nUser-agent: x\nAllow: /\nUser-agent: sdflow\nDisallow: /a",
            False,
        ),
        ("User-agent: x\n\nUser-agent: sdflow\n\nDisallow: /a", False),  # empty lines end nothing
        ("User-agent: x\nSitemap: /s\nHost: y\nUser-agent: sdflow\nDisallow: /a", False),
        ("User-agent: sdflow\nUser-agent: x\nDisallow: /a", False),
        ("User-agent: x\nDisallow: /\nUser-agent: y\nDisallow: /", True),
        ("Disallow: /a\nUser-agent: *\nAllow: /", True),  # a rule without a group
        ("User-agent:\nDisallow: /a", True),
        ("user agent: *\rDisallow: /a\r", False),
        ("\ufeffUser-agent: *\r\nDisallow: /a", False),
        ("<html><body>User-agent: no such page</body></html>", True),
        ("", True),
    ],
)
def test_groups(text: str, expected: bool) -> None:
    assert allowed(text, "/a/b.jpg") is expected


def test_bytes_that_are_no_utf8_hide_nothing_else() -> None:
    assert not allowed(b"User-agent: *\nDisallow: /\xff\xfe\nDisallow: /a\n", "/a")
    assert not allowed(b"\xef\xbb\xbfUser-agent: *\nDisallow: /a\n", "/a")
    assert allowed(b"\x00\x01\x02", "/a")


def test_what_stands_behind_the_limit_does_not_count_and_no_line_is_cut() -> None:
    filling = b"# filling\n" * (MAX_PARSED // 10)
    head = b"User-agent: *\nDisallow: /first\n"
    body = head + filling + b"Disallow: /last\n"
    assert not allowed(body, "/first")
    assert allowed(body, "/last")
    # Half of "Disallow: /private/x" would forbid all of /private.
    end = b"Disallow: /private/x"
    cut = head + b"#" * (MAX_PARSED - len(head) - len(end) + 2 - 1) + b"\n" + end
    assert len(cut) > MAX_PARSED
    assert allowed(cut, "/private")


def test_the_line_that_decided_is_told() -> None:
    text = """
    User-agent: *
    Disallow: /a        # short
    Disallow: /a/b/
    Allow:    /a/b/c
    Disallow: *.png$
    User-agent: other
    Disallow: /
    """
    rules = robots(text)
    assert rules.forbids("http://example.com/a/x") == "Disallow: /a"
    assert rules.forbids("http://example.com/a/b/x") == "Disallow: /a/b/"
    assert rules.forbids("http://example.com/a/b/c.png") is None
    assert rules.forbids("http://example.com/x.png") == "Disallow: *.png$"
    assert rules.forbids("http://example.com/x.jpg") is None
    long = robots("User-agent: *\nDisallow: /" + "a" * 400).forbids("http://example.com/" + "a" * 500)
    assert long is not None
    assert len(long) == 300


def test_crawl_delay() -> None:
    groups = {"*": 10, "sdflow": 0.5, "x": -1}
    text = "".join(f"User-agent: {agent}\nCrawl-delay: {delay}\n" for agent, delay in groups.items())
    assert robots(text).crawl_delay == 0.5
    assert robots(text, "other").crawl_delay == 10.0
    assert robots(text, "x").crawl_delay is None
    assert robots("User-agent: *\nCrawl-delay: inf\n").crawl_delay is None
    assert robots("").crawl_delay is None


# draft-ietf-aipref-attach-05, 3.4
USAGE = """
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: train-ai=y
"""


def test_the_example_of_the_draft() -> None:
    anyone = robots(USAGE)
    assert anyone.reserves("https://example.com/test") == "Content-Usage: train-ai=n"
    assert anyone.forbids("https://example.com/test") is None
    assert anyone.forbids("https://example.com/never/test") == "Disallow: /never/"
    assert anyone.reserves("https://example.com/ai-ok/test") is None
    assert robots(USAGE, "examplebot").reserves("https://example.com/test") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Content-Usage: / train-ai=n", True),
        ("content-usage:/pictures/ train-ai=n", True),
        ("Content-Usage: /other/ train-ai=n", False),
        ("Content-Usage: /*.jpg$ train-ai=n", True),
        ("Content-Usage: train-ai=y\nContent-Usage: /pictures/ train-ai=n", True),
        ("Content-Usage: /pictures/ train-ai=n\nContent-Usage: train-ai=y", True),  # order says nothing
        ("Content-Usage: / train-ai=n\nContent-Usage: / train-ai=y", True),  # the stricter of two alike
        ("Content-Usage: / train-ai=n\nContent-Usage: /pictures/ search=n", True),  # which says nothing of it
        ("Content-Usage: search=n", False),
        ("Content-Usage: train-ai=n # since May", True),
        ("Content-Signal: search=yes,ai-train=no", True),
        ("Content-signal: search=yes, ai-train=yes", False),
        ("Content-Usage:", False),
    ],
)
def test_preferences_by_path(lines: str, expected: bool) -> None:
    line = robots(f"User-agent: *\nAllow: /\n{lines}\n").reserves("https://example.com/pictures/a.jpg")
    assert (line is not None) is expected


def test_preferences_by_group() -> None:
    text = "User-agent: *\nContent-Usage: train-ai=n\nUser-agent: sdflow\nAllow: /\n"
    assert robots(text).reserves("http://example.com/") is None
    assert robots(text, "other").reserves("http://example.com/") is not None
    # Before any group it is meant for all, but not against what is said to one by name.
    assert robots("Content-Usage: train-ai=n\n").reserves("http://example.com/") is not None
    assert (
        robots("Content-Usage: train-ai=n\nUser-agent: *\nDisallow: /b").reserves("http://example.com/")
        is not None
    )
    # It is a rule: names behind it begin another group.
    text = "User-agent: x\nContent-Usage: train-ai=n\nUser-agent: sdflow\nDisallow: /b\n"
    assert robots(text).reserves("http://example.com/") is None


paths = st.text("ab/*$%?=._é ", max_size=12).map(lambda text: "/" + text)


@given(st.lists(st.tuples(st.booleans(), paths), max_size=6), paths)
def test_a_group_by_name_means_what_it_means_to_all(rules: list[tuple[bool, str]], path: str) -> None:
    lines = "\n".join(f"{'Allow' if allow else 'Disallow'}: {rule}" for allow, rule in rules)
    named, general = (f"User-agent: {agent}\n{lines}\n" for agent in ("sdflow", "*"))
    assert allowed(named, path) == allowed(general, path)
    assert allowed(named, path, "other")
    assert allowed(f"{general}\nUser-agent: sdflow\n", path)
    # Order says nothing, and what is told as the reason is one of the lines that forbid.
    turned = "User-agent: *\n" + "\n".join(reversed(lines.split("\n")))
    assert allowed(turned, path) == allowed(general, path)
    line = robots(general).forbids(f"http://example.com{path}")
    if line is not None:
        assert line in {" ".join(line.split()) for line in lines.split("\n") if line.startswith("Disallow")}


@given(st.binary(max_size=300))
def test_no_file_is_too_odd_to_be_read(body: bytes) -> None:
    rules = robots(b"User-agent: *\n" + body)
    rules.forbids("http://example.com/a")
    rules.reserves("http://example.com/a")
    assert rules.crawl_delay is None or rules.crawl_delay >= 0


def agents_and_rules(count: int) -> str:
    """One group of many crawlers with many rules: they were multiplied with each other."""
    agents = "".join(f"user-agent:{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}\n" for n in range(count))
    return f"{agents}user-agent:sdflow\n" + "".join(f"disallow:/{n}\n" for n in range(count))


BOMBS: dict[str, Callable[[int], str]] = {
    "agents and rules": agents_and_rules,
    # Line ends to Protego alone would bring agents back.
    "agents in a rule": lambda n: "user-agent:*\ndisallow:/" + "\vuser-agent:x\v\x85disallow:/b" * n,
    "agents": lambda n: "".join(f"user-agent:{chr(97 + k % 26)}\n" for k in range(n)),
    "rules": lambda n: "user-agent:*\n" + "".join(f"disallow:/{k:x}\n" for k in range(n)),
    "equal rules": lambda n: "user-agent:*\n" + "disallow:/b\n" * n,
    "wildcards": lambda n: "user-agent:*\n" + "".join(f"disallow:/{'*a' * 30}{k:x}\n" for k in range(n)),
    "one of wildcards": lambda n: "user-agent:*\ndisallow:/" + "*a" * n + "b",
    "preferences": lambda n: "user-agent:*\n" + "".join(f"content-usage:/{k:x} bots=n\n" for k in range(n)),
    "one preference": lambda n: "user-agent:*\ncontent-usage:/ " + "bots=n," * n,
    "blanks": lambda n: (
        "user-agent:*\ndisallow" + " \t" * n + "x\ndiw" + "w" * n + "\ncontent-usage:/" + "x" * n
    ),
    "lines": lambda n: "\n\r" * n,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_hostile_file_costs_as_much_as_it_is_long(bomb: Callable[[int], str]) -> None:
    url = "http://example.com/" + "a" * 3000

    def read(count: int) -> Robots:
        rules = robots(bomb(count))
        rules.forbids(url)
        rules.reserves(url)
        return rules

    assert calls(lambda: read(1600)) < 4.4 * calls(lambda: read(400)) + 1000
    whole = bomb(MAX_PARSED // 8)[:MAX_PARSED].encode()
    assert peak(lambda: robots(whole)) < 40 * MAX_PARSED
    assert robots(whole).size <= MAX_PARSED


def test_more_rules_than_can_be_looked_at_forbid_everything() -> None:
    few = "User-agent: *\n" + "".join(f"Disallow: /{number}\n" for number in range(MAX_RULES))
    assert allowed(few, "/x")
    assert not allowed(few + "Allow: /x\n", "/x")
    assert allowed(few + "Disallow: /7\n" * MAX_RULES, "/x")  # each counts once
    assert allowed(few + "Allow: /x\nUser-agent: sdflow\nAllow: /\n", "/x")  # only ours count
    stars = "User-agent: *\n" + "Disallow: /*" + "a" * (MAX_WILDCARD_CHARACTERS - 12)
    assert allowed(stars, "/x")
    assert robots(stars + "a\n").forbids("http://example.com/x") == (
        "more rules than are read: everything is taken as forbidden"
    )
    assert robots(stars + "a\n").crawl_delay is None


def test_more_preferences_than_can_be_looked_at_are_a_no() -> None:
    text = "".join(f"Content-Usage: /{number} train-ai=y\n" for number in range(MAX_PREFERENCES))
    assert robots(text).reserves("http://example.com/x") is None
    assert robots(text + "Content-Usage: /y train-ai=y").reserves("http://example.com/x") is not None
    assert robots(text + "Content-Usage: /y train-ai=y").forbids("http://example.com/x") is None


def test_of_two_delays_the_last_counts() -> None:
    assert robots("User-agent: *\nCrawl-delay: 1\nCrawl-delay: 2\nCrawl-delay: 1\n").crawl_delay == 1.0
