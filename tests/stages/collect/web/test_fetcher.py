"""A question on its way: leave of the site, the host's turn, redirects, and what is remembered of it."""

import email.utils
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.collect.web.fetcher import reason_of_status, retry_after
from stages.collect.web.host_limiter import FAILURE_THRESHOLD
from stages.collect.web.records import Response
from stages.reasons import RETRYABLE, Reason
from tests.stages.collect import conftest
from tests.stages.collect.conftest import Web, body, status
from tests.stages.collect.fetching import ALL, KEY, Fetch


@pytest.fixture
def fetch() -> Iterator[Fetch]:
    fetch = Fetch()
    yield fetch
    fetch.fetcher.close()


def test_what_comes_is_remembered(web: Web, fetch: Fetch) -> None:
    web.answers["/a"] = body(b"abc", ETag='"1"', Last_Modified="then", Content_Type="image/png")
    assert fetch(web.url("/a"), ALL) == b"abc"
    answer = fetch.answer
    assert (answer.key, answer.url, answer.final_url) == (KEY, web.url("/a"), web.url("/a"))
    assert (answer.status, answer.bytes, answer.address) == (200, 3, "127.0.0.1")
    assert (answer.etag, answer.last_modified, answer.content_type) == ('"1"', "then", "image/png")
    assert (answer.reason, answer.not_modified, answer.redirects, answer.retry_at) == (None, False, [], None)
    assert 0 < answer.seconds < 600
    assert time.strptime(answer.requested_at, "%Y-%m-%dT%H:%M:%SZ")
    assert web.asked == {"/robots.txt": 1, "/.well-known/tdmrep.json": 1, "/a": 1}
    assert {file["url"] for file in fetch.fetcher.evidence()} == {
        web.url("/robots.txt"),
        web.url("/.well-known/tdmrep.json"),
    }


def test_what_is_unchanged_costs_no_body(web: Web, fetch: Fetch) -> None:
    heard: list[dict[str, str]] = []

    def conditional(handler: BaseHTTPRequestHandler) -> None:
        heard.append({name: value for name, value in handler.headers.items() if name.startswith("If-")})
        fresh = handler.headers["If-None-Match"] == '"1"' or handler.headers["If-Modified-Since"] == "then"
        (status(304) if fresh else body(b"new"))(handler)

    web.answers["/a"] = conditional
    assert fetch(web.url("/a"), etag='"1"', last_modified="then") == b""
    assert (fetch.answer.not_modified, fetch.answer.status, fetch.answer.reason) == (True, 304, None)
    assert fetch(web.url("/a"), last_modified="then") == b""
    assert fetch(web.url("/a"), etag='"0"') == b"new"
    assert not fetch.answer.not_modified
    assert fetch(web.url("/a")) == b"new"
    assert heard == [
        {"If-None-Match": '"1"'}, {"If-Modified-Since": "then"}, {"If-None-Match": '"0"'}, {},
    ]  # fmt: skip
    web.answers["/b"] = status(304)
    assert fetch.fails(web.url("/b")).reason == Reason.BAD_ANSWER, "nobody asked whether it is unchanged"


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        (404, Reason.HTTP_NOT_FOUND, "404 Not Found"),
        (410, Reason.HTTP_NOT_FOUND, "410 Gone"),
        (403, Reason.HTTP_CLIENT_ERROR, "403 Forbidden"),
        (451, Reason.HTTP_CLIENT_ERROR, "451 Unavailable For Legal Reasons"),
        (408, Reason.TIMEOUT, "408 Request Timeout"),
        (425, Reason.HTTP_TOO_MANY_REQUESTS, "425 Too Early"),
        (429, Reason.HTTP_TOO_MANY_REQUESTS, "429 Too Many Requests"),
        (500, Reason.HTTP_SERVER_ERROR, "500 Internal Server Error"),
        (503, Reason.HTTP_SERVER_ERROR, "503 Service Unavailable"),
        (300, Reason.BAD_ANSWER, "300 Multiple Choices"),
        (302, Reason.BAD_ANSWER, "302 Found"),
    ],
)
def test_statuses_have_words(web: Web, fetch: Fetch, code: int, reason: Reason, detail: str) -> None:
    web.answers["/x"] = status(code)
    error = fetch.fails(web.url("/x"))
    assert (error.reason, error.detail, error.retry_at) == (reason, detail, None)
    assert fetch.answer.status == code
    assert (reason_of_status(code) or Reason.BAD_ANSWER) == reason


def test_what_fails_in_the_body_was_an_answer_still(web: Web, fetch: Fetch) -> None:
    web.answers["/x"] = body(b"x" * 1001, Content_Type="image/png")
    assert fetch.fails(web.url("/x")).reason == Reason.TOO_MANY_BYTES
    assert (fetch.answer.status, fetch.answer.content_type, fetch.answer.bytes) == (200, "image/png", 0)


def test_headers_are_kept_on_one_line_or_not_at_all(web: Web, fetch: Fetch) -> None:
    web.answers["/x"] = body(b"x", ETag='"' + "x" * 400 + '"', Last_Modified="a\r\n  b")
    fetch(web.url("/x"))
    assert (fetch.answer.etag, fetch.answer.last_modified) == ("", "a b")
    assert fetch(web.url("/x"), last_modified=fetch.answer.last_modified) == b"x"


@pytest.mark.parametrize("answer", [body(b"x" * 2000, X_Robots_Tag="noai"), status(302, **{
    "X-Robots-Tag": "birds: noimageai", "Location": "/end"})])  # fmt: skip
def test_headers_that_say_no(web: Web, fetch: Fetch, answer: conftest.Answer) -> None:
    web.answers["/x"] = answer
    web.serve("/end", b"end")
    error = fetch.fails(web.url("/x"), ALL)
    assert (error.reason, error.rule) == (Reason.OPTED_OUT, "obey=x-robots-tag")
    assert error.detail.startswith("x-robots-tag: ")
    assert fetch.answer.signal is not None
    assert fetch.answer.signal.where == f"header X-Robots-Tag of {web.url('/x')}"
    assert fetch.answer.signal.when.endswith("Z")
    assert "/end" not in web.asked


def test_headers_of_an_error_say_nothing(web: Web, fetch: Fetch) -> None:
    web.answers["/x"] = status(404, **{"X-Robots-Tag": "noindex"})
    assert fetch.fails(web.url("/x"), ALL).reason == Reason.HTTP_NOT_FOUND


def test_what_a_site_forbids_is_not_asked_for(web: Web, fetch: Fetch) -> None:
    web.answers["/robots.txt"] = body(b"User-agent: *\nDisallow: /x\nCrawl-delay: 100\n")
    web.serve("/x", b"x")
    web.serve("/y", b"y")
    assert fetch.fails(web.url("/x"), ("robots",)).reason == Reason.OPTED_OUT
    assert (fetch.answer.requested_at, web.asked["/x"]) == ("", 0)
    assert fetch(web.url("/y"), ("robots",)) == b"y"
    late = fetch.fails(web.url("/y"), ("robots",))
    assert late.reason == Reason.HOST_SET_ASIDE
    assert late.retry_at == pytest.approx(time.time() + 100, abs=60)
    assert fetch.answer.requested_at == ""
    assert web.asked == {"/robots.txt": 1, "/y": 1}


def test_a_site_that_cannot_say_is_asked_later(web: Web, fetch: Fetch) -> None:
    web.answers["/robots.txt"] = status(503)
    web.serve("/x", b"x")
    assert fetch.fails(web.url("/x"), ("robots",)).reason == Reason.ROBOTS_UNREACHABLE
    assert web.asked["/x"] == 0


@pytest.mark.parametrize("code", [429, 503])
def test_who_asks_for_time_gets_it(web: Web, fetch: Fetch, code: int) -> None:
    web.answers["/x"] = status(code, **{"Retry-After": "120"})
    web.serve("/y", b"y")
    assert fetch.fails(web.url("/x")).retry_at == pytest.approx(time.time() + 120, abs=60)
    aside = fetch.fails(web.url("/y"))
    assert aside.reason == Reason.HOST_SET_ASIDE
    assert aside.retry_at == pytest.approx(time.time() + 120, abs=60)
    assert web.asked == {"/x": 1}
    assert fetch(web.url("/y", "127.0.0.2")) == b"y", "the others need not wait"


def test_a_host_that_fails_is_given_a_rest(web: Web, fetch: Fetch) -> None:
    web.answers["/x"] = status(500)
    web.answers["/none"] = status(404)
    for path, times in (("/x", FAILURE_THRESHOLD - 1), ("/none", 1), ("/x", FAILURE_THRESHOLD)):
        for _ in range(times):
            assert fetch.fails(web.url(path)).reason != Reason.HOST_SET_ASIDE
    assert fetch.fails(web.url("/none")).reason == Reason.HOST_SET_ASIDE


def test_who_says_when_to_come_back_needs_no_rest_besides(
    web: Web, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.collect.web.host_limiter.FIRST_COOL_DOWN_SECONDS", 10_000.0)
    web.answers = {"/x": status(500), "/busy": status(503, **{"Retry-After": "900"})}
    for _ in range(FAILURE_THRESHOLD - 1):
        fetch.fails(web.url("/x"))
    fetch.fails(web.url("/busy"))
    aside = fetch.fails(web.url("/x"))
    assert aside.reason == Reason.HOST_SET_ASIDE
    assert aside.retry_at <= time.time() + 900


def test_after_the_end_everything_fails_at_once(web: Web, fetch: Fetch) -> None:
    web.serve("/x", b"x")
    fetch.fetcher.close()
    error = fetch.fails(web.url("/x"), ALL)
    assert (error.reason, error.detail) == (Reason.HOST_SET_ASIDE, "the collection ended")
    assert not web.asked


def response(code: int, *values: str) -> Response:
    headers = email.message_from_string("".join(f"Retry-After: {value}\n" for value in values))
    return Response("http://a.example/", code, "", headers, b"", "")  # type: ignore[arg-type]


def test_retry_after_has_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert retry_after(response(429, "7")) == 7.0
    then = email.utils.formatdate(time.time() + 50, usegmt=True)
    assert retry_after(response(503, then)) == pytest.approx(50, abs=10)
    assert retry_after(response(503, email.utils.formatdate(time.time() - 50, usegmt=True))) == 0.0
    assert retry_after(response(503, "9" * 5000)) == 86_400.0
    assert retry_after(response(503, "Fri, 31 Dec 9999 23:59:59 GMT")) == 86_400.0
    assert retry_after(response(503, "Fri, 31 Dec 9999 23:59:59 -2359")) in (86_400.0, None)
    assert retry_after(response(503)) is None
    assert retry_after(response(404, "7")) is None
    assert retry_after(response(200, "7")) is None
    for nonsense in ("", "soon", "-1", "1.5", "1e3", "٣", "Mon"):
        assert retry_after(response(503, nonsense)) is None


@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_whatever_retry_after_says_it_is_a_time_or_nothing(words: str) -> None:
    response = Response("u", 503, "", {"Retry-After": words}, b"", "")  # type: ignore[arg-type]
    seconds = retry_after(response)
    assert seconds is None or 0 <= seconds <= 86_400


def test_every_status_has_its_place() -> None:
    for code in range(200, 600):
        reason = reason_of_status(code)
        assert (reason is None) == (code < 400)
        assert (reason in RETRYABLE) == (code in (408, 425, 429) or code >= 500)
