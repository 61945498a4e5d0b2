"""Redirects: how far they are followed, and where to."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from stages.collect.web.host_limiter import HostLimiter
from stages.reasons import Reason
from tests.stages.collect.conftest import Web, body, status
from tests.stages.collect.fetching import ALL, Fetch


@pytest.fixture
def fetch() -> Iterator[Fetch]:
    fetch = Fetch()
    yield fetch
    fetch.fetcher.close()


def test_redirects_are_followed_up_to_a_number(web: Web, fetch: Fetch) -> None:
    codes = [301, 302, 303, 307, 308, 301]
    for number in range(1, 7):
        web.answers[f"/r{number}"] = status(codes[number - 1], Location=f"r{number - 1}")
    web.answers["/r0"] = body(b"end")
    assert fetch(web.url("/r5")) == b"end"
    assert (fetch.answer.url, fetch.answer.final_url) == (web.url("/r5"), web.url("/r0"))
    assert fetch.answer.redirects == [web.url(f"/r{number}") for number in (5, 4, 3, 2, 1)]
    assert fetch.fails(web.url("/r6")).reason == Reason.TOO_MANY_REDIRECTS
    web.asked.clear()
    web.answers["/one"] = status(302, Location="/two")
    web.answers["/two"] = status(302, Location="/one")
    assert fetch.fails(web.url("/one")).reason == Reason.TOO_MANY_REDIRECTS
    assert web.asked == {"/one": 1, "/two": 1}, "nobody goes round twice"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", Reason.URL_SCHEME),
        ("data:,x", Reason.URL_SCHEME),
        ("gopher://127.0.0.1/x", Reason.URL_SCHEME),
        ("http://user:secret@127.0.0.1/x", Reason.URL_CREDENTIALS),
        ("http://2130706433/x", Reason.BAD_URL),
        ("http://[::1/x", Reason.BAD_URL),
        ("http://127.0.0.1/" + "x" * 5000, Reason.URL_TOO_LONG),
    ],
)
def test_redirects_lead_to_plain_urls_only(web: Web, fetch: Fetch, target: str, reason: Reason) -> None:
    web.answers["/r"] = status(302, Location=target)
    error = fetch.fails(web.url("/r"))
    assert error.reason == reason
    assert "secret" not in error.detail + fetch.answer.final_url + "".join(fetch.answer.redirects)


def test_a_redirect_may_be_spelt_in_utf_8(web: Web, fetch: Fetch) -> None:
    web.answers["/r"] = status(302, Location="/ü b".encode().decode("latin-1"))
    web.serve("/%C3%BC%20b", b"end")
    assert fetch(web.url("/r")) == b"end"


def test_every_hop_is_held_to_its_own_site(web: Web, fetch: Fetch) -> None:
    other = "127.0.0.2"
    web.answers["/r"] = status(302, Location=web.url("/closed", other))
    web.answers["/robots.txt"] = body(b"User-agent: birds\nDisallow: /closed")
    web.serve("/closed", b"x")
    error = fetch.fails(web.url("/r"), ("robots",))
    assert (error.reason, error.rule) == (Reason.OPTED_OUT, "obey=robots")
    signal = fetch.answer.signal
    assert signal is not None
    assert (signal.kind, signal.value, signal.where) == (
        "robots", "Disallow: /closed", web.url("/robots.txt", other),
    )  # fmt: skip
    assert web.asked == {"/robots.txt": 2, "/r": 1}
    assert fetch.answer.redirects == [web.url("/r")]


def test_a_redirect_to_where_nobody_may_go(web: Web, fetch: Fetch) -> None:
    web.answers["/r"] = status(302, Location=web.url("/x", "127.0.0.2"))
    web.serve("/x", b"secret")
    error = fetch.fails(web.url("/r"), networks=("127.0.0.1/32",))
    assert (error.reason, error.rule) == (Reason.FORBIDDEN_ADDRESS, "allow_networks=127.0.0.1/32")
    assert web.asked == {"/r": 1}
    error = fetch.fails(web.url("/x"), ALL, networks=())
    assert (error.reason, error.rule) == (Reason.FORBIDDEN_ADDRESS, "allow_networks=none")
    assert (fetch.answer.requested_at, fetch.answer.status) == ("", 0)


QUEUE = 0.2
"""Seconds that each request waits for its slot."""


class Queued(HostLimiter):
    @contextmanager
    def slot(self, host: str, max_wait: float) -> Generator[None]:
        time.sleep(QUEUE)
        with super().slot(host, max_wait):
            yield


def test_the_deadline_counts_exchanges_together_and_no_waiting(web: Web) -> None:
    def later(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        status(302, Location=f"/later{len(handler.path)}")(handler)

    web.answers = {f"/later{number}": later for number in ["", *range(10)]}
    error = Fetch(deadline=0.5).fails(web.url("/later"))
    assert (error.reason, error.detail) == (Reason.TIMEOUT, "no whole answer within 0.5 s")
    slow = Fetch(limiter=Queued(0, 0.0), deadline=60.0, patience=60.0)
    for number in range(3):
        web.answers[f"/r{number}"] = status(302, Location=f"/r{number + 1}")
    web.serve("/r3", b"end")
    before = time.monotonic()
    assert slow(web.url("/r0")) == b"end"
    assert slow.answer.seconds <= time.monotonic() - before - 4 * QUEUE
