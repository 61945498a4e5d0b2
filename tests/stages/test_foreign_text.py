import html
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from stages.foreign_text import SHOWN, escape, escape_html, escape_lines, escape_markdown

# Any code points, lone surrogates among them, mixed with what means something somewhere.
STRANGE = st.lists(
    st.characters(exclude_categories=())
    | st.sampled_from(
        ["\x1b[31m", "\x1b]8;;http://e\x07", "![x](http://h/)", "<img src=x>", "[a](b)", "|", "`", "\\",
         "www.h.i", "http://h.i/", "&lt;", "# ", "- ", "_", "a_b", "1. ", "***", "~~", "\u202e", "\r\n"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a fox, naïve, 狐, ❤️, 🦊", "a fox, naïve, 狐, ❤️, 🦊"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("one\ntwo\r\n\tthree\x85\u2028\u2029", r"one\ntwo\r\n\tthree\x85\u2028\u2029"),
        ("\u202egpj.exe\u2066\u200f\u061c", r"\u202egpj.exe\u2066\u200f\u061c"),
        ("a\u200bb\u200d\ufeff\u2060\u00ad", r"a\u200bb\u200d\ufeff\u2060\xad"),
        ("\U000e0041\U000e0101\u3164\ufe00", r"\U000e0041\U000e0101\u3164\ufe00"),
        ("\ud83d and \udc80", r"\ud83d and \udc80"),
        ("5\u00a0km\u3000\u2009x", "5 km  x"),
        (r"C:\pictures\new", r"C:\pictures\new"),
    ],
)
def test_what_a_terminal_obeys_or_nobody_sees_is_shown_in_words(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_anything_can_be_shown() -> None:
    assert escape(ValueError("no\x1b")) == r"no\x1b"
    assert escape(None) == "None"


@pytest.mark.parametrize(("length", "limit"), [(301, 300), (10**6, 300), (41, 40)])
def test_long_text_says_how_much_is_not_shown(length: int, limit: int) -> None:
    shown = escape("x" * length, limit)
    assert len(shown) <= limit
    visible, _, rest = shown.partition("… (")
    assert len(visible) + int(rest.removesuffix(" more)").replace(",", "")) == length


@given(STRANGE, st.integers(40, 90))
@example("\U000e0041" * 5, 40)
def test_shown_text_is_printable_bounded_and_shown_alike_again(text: str, limit: int) -> None:
    shown = escape(text, limit)
    assert shown.isprintable()
    assert not any(unicodedata.category(character)[0] == "C" for character in shown)
    assert len(shown) <= limit
    assert escape(shown, limit) == shown
    assert escape(text, limit * 100).startswith(shown.partition("… (")[0])


@given(STRANGE)
def test_lines_stay_lines(text: str) -> None:
    shown = escape_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert all(line.isprintable() for line in shown.split("\n"))


def test_many_lines_are_cut_with_a_word() -> None:
    assert escape_lines("a\x1b\nbcd", 4) == "a\\x1b\nb… (2 more)"


@given(STRANGE)
@example("\\|")
@example("_www.example.org")
@example("[x]: http://h/ 'y'")
@example("    code")
@example("<!-- x")
def test_a_page_shows_foreign_text_and_nothing_else(text: str) -> None:
    renderer = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    cell = escape_markdown(text)
    expected = " ".join(escape(text).split())
    for page in (cell, f"* {cell}", f"before {cell} after", f"| a | b |\n| --- | --- |\n| {cell} | end |"):
        tags = set(re.findall(r"<(/?[a-z]+[^>]*)>", renderer.render(page)))
        assert {tag.strip("/") for tag in tags} <= {
            "p",
            "ul",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        words = html.unescape(re.sub(r"<[^>]*>", " ", renderer.render(page)))
        assert expected in " ".join(words.split())


# GitHub's extended autolinks (its specification, 6.9), and what linkify-it takes for a URL with a scheme.
AUTOLINK = re.compile(r"(?:(?:https?|ftp):)?//[a-z0-9-]+\.|www\.|[a-z0-9._+-]@[a-z0-9]", re.IGNORECASE)


@given(STRANGE | st.from_regex(AUTOLINK, fullmatch=False))
def test_addresses_do_not_become_links(text: str) -> None:
    assert not AUTOLINK.search(escape_markdown(text))


@given(STRANGE)
def test_html_holds_no_tags(text: str) -> None:
    shown = escape_html(text)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == escape(text)


def test_rich_takes_escaped_text_as_it_stands() -> None:
    console = Console(width=200, color_system="truecolor", force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(Text(escape("[link=http://h/]x[/link] [red]y \x1b]8;;http://h/\x07")))
    assert "\x1b" not in capture.get()
    assert "[link=http://h/]x[/link] [red]y" in capture.get()


def test_the_usual_length_is_a_line_or_two() -> None:
    assert len(escape("x" * 10**6)) <= SHOWN
