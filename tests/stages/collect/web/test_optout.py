"""What headers of an answer say, in the forms that their authors document."""

from http.client import HTTPMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.optout import BINDING, refusal_in_headers, reserves_training
from stages.collect.web.records import OptOutSignal
from stages.config.collect import OPT_OUTS, OptOut
from tests.work import calls

URL = "https://example.com/a.jpg"
WHEN = "2026-01-02T03:04:05Z"


def message(*lines: tuple[str, str]) -> HTTPMessage:
    headers = HTTPMessage()
    for name, value in lines:
        headers.add_header(name, value)
    return headers


def refused(
    *lines: tuple[str, str], obey: tuple[OptOut, ...] = OPT_OUTS, agent: str = "sdflow"
) -> OptOutSignal | None:
    return refusal_in_headers(message(*lines), URL, agent, obey, WHEN)


def tag(*values: str, agent: str = "sdflow") -> OptOutSignal | None:
    return refused(*(("X-Robots-Tag", value) for value in values), agent=agent)


@pytest.mark.parametrize("directive", sorted(BINDING))
def test_each_directive_binds_alone_in_any_case_and_in_a_list(directive: str) -> None:
    for value in (
        directive,
        directive.upper(),
        f"nofollow, {directive}",
        f"{directive},nosnippet",
        f" {directive} ",
    ):
        signal = tag(value)
        assert signal is not None, value
        assert (signal.kind, signal.where, signal.when) == (
            "x-robots-tag",
            f"header X-Robots-Tag of {URL}",
            WHEN,
        )
        assert directive in signal.value.lower()


@pytest.mark.parametrize(
    "value",
    [
        "all",
        "index, follow",
        "nofollow, noarchive, nosnippet, notranslate",
        "noaiming",  # a word of its own
        "max-snippet: -1, max-image-preview: large, max-video-preview: 10",
        "unavailable_after: 25 Jun 2010 15:00:00 PST",
        "unavailable_after: Friday, 25-Jun-10 15:00:00 UTC",
        "unavailable_after: 2010-06-25T15:00:00Z, noarchive",
        "otherbot: noindex",
        "otherbot: noai, noimageai",  # a name holds for the rest of its line
        "sdflowbot: noai",
        "sd: noai",
        "otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST, none",
        "",
        ",,:,",
    ],
)
def test_what_does_not_bind(value: str) -> None:
    assert tag(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "sdflow: noai",
        "SDflow: NoAI",
        "sdflow/0.1: noindex, nofollow",
        "sdflow: nofollow, noindex",
        "otherbot: nofollow, sdflow: noindex",
        "*: noai",
        "noindex, otherbot: nofollow",
        "unavailable_after: 25 Jun 2010 15:00:00 PST, noai",
        "unavailable_after: Friday, 25 Jun 2010 15:00:00 PST, noai",
        "max-snippet: -1, max-image-preview:large, noindex",
        "sdflow: unavailable_after: 25 Jun 2010 15:00:00 PST, none",
        "noai noimageai",
        "nofollow; noai",
    ],
)
def test_what_binds_by_name_in_lists_and_after_values(value: str) -> None:
    assert tag(value) is not None


def test_several_lines_are_looked_at_each_for_itself() -> None:
    assert tag("otherbot: noindex", "nofollow") is None
    signal = tag("otherbot: nofollow", "noimageai", "max-snippet: 20")
    assert signal is not None
    assert signal.value == "noimageai"
    # The name of one line does not hold for the next.
    assert tag("otherbot: nofollow", "noai") is not None
    assert tag("googlebot: noai", agent="GoogleBot") is not None


def test_a_long_line_is_quoted_by_what_binds() -> None:
    signal = tag(", ".join(["nosnippet"] * 100) + ", otherbot: nofollow, sdflow: noai")
    assert signal is not None
    assert signal.value == "sdflow: noai"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # The drafts' examples: draft-ietf-aipref-vocab, 6; attach, 1.2 and 3.4.
        ("train-ai=n", True),
        ("train-ai=y, search=n", False),
        ("train-ai=y", False),
        ('train-ai=y, train-ai, search=n, search="n"', None),
        ("train-ai;allow=n, train-ai=y", False),
        ('train-ai;has;parameters="?";', None),
        ("search=n", None),
        ("", None),
        # Of a label given twice the last counts.
        ("train-ai=n, train-ai=y", False),
        ("train-ai=y, train-ai=n", True),
        # Categories of earlier drafts: a broader one counts where none says it of training.
        ("all=n", True),
        ("bots=n, search=y", True),
        ("bots=n, train-ai=y", False),
        ("train-ai=y, train-genai=n", True),
        ("train-genai=n", True),
        # Cloudflare's Content-Signal.
        ("search=yes,ai-train=no", True),
        ("search=yes, ai-input=no, ai-train=yes", False),
        ("search=yes, ai-input=no, use=reference", None),
        # Clear to a person, if not to RFC 9651.
        ("Train-AI = N", True),
        ("train-ai=n;reason=x, ???", True),
        ("train-ai=maybe", None),
    ],
)
def test_preferences(expression: str, expected: bool | None) -> None:
    assert reserves_training(expression) is expected


def test_preferences_in_headers() -> None:
    signal = refused(("Content-Usage", "search=y"), ("Content-Usage", "train-ai=n"))
    assert signal is not None
    assert (signal.kind, signal.value) == ("aipref", "search=y, train-ai=n")
    assert signal.where == f"header Content-Usage of {URL}"
    assert (
        refused(("Content-Usage", "train-ai=n"), ("content-usage", "train-ai=y")) is None
    )  # one list, the last
    signal = refused(("content-signal", "ai-train=no"))
    assert signal is not None
    assert signal.where == f"header Content-Signal of {URL}"


@pytest.mark.parametrize(
    ("value", "binds"), [("1", True), (" 1 ", True), ("1, 1", True), ("0", False), ("true", False)]
)
def test_tdm_reservation(value: str, binds: bool) -> None:
    signal = refused(("TDM-Reservation", value), ("TDM-Policy", "https://example.com/policy.json"))
    assert (signal is not None) is binds
    if signal:
        assert (signal.kind, signal.where) == ("tdmrep", f"header TDM-Reservation of {URL}")


def test_only_what_is_obeyed_binds() -> None:
    lines = [("X-Robots-Tag", "noai"), ("Content-Usage", "train-ai=n"), ("TDM-Reservation", "1")]
    for kind in ("x-robots-tag", "aipref", "tdmrep"):
        signal = refused(*lines, obey=(kind,))
        assert signal is not None
        assert signal.kind == kind
    assert refused(*lines, obey=("robots",)) is None
    assert refused(*lines, obey=()) is None
    assert refused() is None


# http.client reads headers as Latin-1.
@given(
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80),
    st.sampled_from(["otherbot", "sdflow"]),
)
def test_no_header_is_too_odd_to_be_read(text: str, agent: str) -> None:
    signal = refused(("X-Robots-Tag", text), ("Content-Usage", text), ("TDM-Reservation", text), agent=agent)
    assert signal is None or len(signal.value) <= 300


directive = st.sampled_from(
    ["nofollow", "noarchive", "max-snippet: -1", "unavailable_after: 1 Jan 2030 00:00:00 GMT", "all"]
)


@given(st.lists(directive, max_size=4), st.sampled_from(sorted(BINDING)), st.lists(directive, max_size=4))
def test_what_binds_is_found_wherever_it_stands(before: list[str], binding: str, after: list[str]) -> None:
    assert tag(", ".join([*before, binding, *after])) is not None
    assert tag(", ".join(["sdflow: " + binding, *after])) is not None
    assert tag(", ".join(["otherbot: " + binding, *after])) is None
    assert tag(*before, binding, *after) is not None
    assert tag(*before, *after) is None


@pytest.mark.parametrize(
    "piece", ["a:", "a,", "a;", "a: b ", ":", "noai-", "train-ai=y,", "unavailable_after:"]
)
def test_a_hostile_header_costs_as_much_as_it_is_long(piece: str) -> None:
    def read(count: int) -> None:
        refused(*((name, piece * count) for name in ("X-Robots-Tag", "Content-Usage", "TDM-Reservation")))

    assert calls(lambda: read(1600)) < 4.4 * calls(lambda: read(400)) + 100
