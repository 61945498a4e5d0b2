"""Files of sites: how long they are kept, where redirects lead, what becomes of failures."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stages.collect.web.errors import FetchError, fetch_error
from stages.collect.web.records import FetchRequest, Response
from stages.collect.web.site_files import FAILURE_CACHED, LONGEST_CACHED, MAX_REDIRECTS, SHORTEST_CACHED
from stages.collect.web.site_policies import SitePolicies
from stages.config.collect import OPT_OUTS
from stages.reasons import Reason
from tests.stages.collect.conftest import Web, body, status
from tests.stages.collect.web.test_site_policies import (
    FORBIDS,
    PICTURE,
    ROBOTS,
    SITE,
    START,
    Answers,
    Clock,
    ask,
    fetch,
    headers,
    ok,
)

HOUR = 3600.0


@pytest.mark.parametrize("code", [429, 500, 502, 503, 599])
def test_a_robots_txt_that_cannot_be_had_forbids_all_for_now(code: int) -> None:
    web, clock = Answers(), Clock()
    web.table = {ROBOTS: code}
    sites = SitePolicies(web, "sdflow", clock)
    for obey, rule in ((OPT_OUTS, "obey=robots"), (("aipref",), "obey=aipref")):
        with pytest.raises(FetchError) as caught:
            sites.refusal(ask(PICTURE, *obey))
        assert (caught.value.reason, caught.value.rule) == (Reason.ROBOTS_UNREACHABLE, rule)
        assert caught.value.detail == f"{ROBOTS} was answered {code} Words"
        assert caught.value.retry_at == START + FAILURE_CACHED[0]
    assert sites.refusal(ask(PICTURE, "tdmrep")) is None
    assert web.asked[ROBOTS] == 1
    (evidence,) = [row for row in sites.evidence() if row["url"] == ROBOTS]
    assert (evidence["status"], evidence["detail"]) == (code, f"{ROBOTS} was answered {code} Words")


def test_a_failure_is_kept_for_longer_each_time_and_forgotten_when_it_passes() -> None:
    web, clock = Answers(), Clock()
    web.table = {ROBOTS: fetch_error(Reason.TIMEOUT, "no whole answer within 30 s")}
    sites = SitePolicies(web, "sdflow", clock)
    waits: list[float] = []
    for _ in range(8):
        with pytest.raises(FetchError) as caught:
            sites.refusal(ask(PICTURE, "robots"))
        assert caught.value.reason == Reason.ROBOTS_UNREACHABLE
        assert caught.value.detail == f"{ROBOTS} could not be read: timeout: no whole answer within 30 s"
        assert caught.value.retry_at is not None
        waits.append(caught.value.retry_at - clock.now)
        clock.now = caught.value.retry_at
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert web.asked[ROBOTS] == 8
    web.table = {ROBOTS: FORBIDS}
    assert sites.refusal(ask(PICTURE, "robots")) is not None
    clock.now += LONGEST_CACHED
    web.table = {ROBOTS: 503}
    with pytest.raises(FetchError) as caught:
        sites.refusal(ask(PICTURE, "robots"))
    assert caught.value.retry_at == clock.now + FAILURE_CACHED[0]


def test_a_wait_that_the_host_asks_for_is_passed_on() -> None:
    web = Answers()
    web.table = {ROBOTS: fetch_error(Reason.HTTP_TOO_MANY_REQUESTS, "429", retry_at=START + 500)}
    with pytest.raises(FetchError) as caught:
        SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE))
    assert caught.value.retry_at == START + 500


@pytest.mark.parametrize("reason", [Reason.FORBIDDEN_ADDRESS, Reason.NO_SUCH_NAME, Reason.HOST_SET_ASIDE])
def test_what_is_wrong_with_the_host_itself_is_told_as_it_is(reason: Reason) -> None:
    web = Answers()
    web.table = {ROBOTS: fetch_error(reason, "words", "allow_networks=none")}
    with pytest.raises(FetchError) as caught:
        SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE))
    assert (caught.value.reason, caught.value.detail) == (reason, "words")
    assert caught.value.rule == "allow_networks=none"


def test_a_host_set_aside_is_asked_as_soon_as_it_may_be() -> None:
    web, clock = Answers(), Clock()
    web.table = {ROBOTS: fetch_error(Reason.HOST_SET_ASIDE, "words", retry_at=START + 1)}
    sites = SitePolicies(web, "sdflow", clock)
    with pytest.raises(FetchError):
        sites.refusal(ask(PICTURE))
    web.table = {ROBOTS: FORBIDS}
    assert sites.refusal(ask(PICTURE)) is not None
    assert clock.now == START


def test_networks_that_may_be_connected_to_are_a_question_of_their_own() -> None:
    def guarded(url: str, ask: FetchRequest, max_bytes: int) -> Response:
        if not ask.networks:
            raise fetch_error(Reason.FORBIDDEN_ADDRESS, "private", "allow_networks=none")
        return Response(url, 200, "OK", headers(), b"User-agent: *\nDisallow: /\nCrawl-delay: 3", "10.0.0.1")

    sites = SitePolicies(guarded, "sdflow", Clock())
    with pytest.raises(FetchError) as caught:
        sites.refusal(ask(PICTURE))
    assert caught.value.reason == Reason.FORBIDDEN_ADDRESS
    assert sites.refusal(ask(PICTURE, networks=("10.0.0.0/8",))) is not None
    assert sites.crawl_delay(PICTURE) == 3.0
    with pytest.raises(FetchError):
        sites.refusal(ask(PICTURE))


def redirects(number: int) -> dict[str, Any]:
    """From robots.txt over hosts of their own to one that forbids all."""
    steps = [ROBOTS, *(f"https://host{step}.example/r" for step in range(number))]
    table: dict[str, Any] = {
        here: (302, {"Location": there}, b"") for here, there in itertools.pairwise(steps)
    }
    return {**table, steps[-1]: FORBIDS}


def test_redirects_are_followed_five_times_to_wherever() -> None:
    for number in range(1, MAX_REDIRECTS + 2):
        web = Answers()
        web.table = redirects(number)
        signal = SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE, "robots"))
        assert (signal is not None) is (number <= MAX_REDIRECTS)
        assert sum(web.asked.values()) == min(number, MAX_REDIRECTS) + 1
        if signal:
            assert signal.where == ROBOTS


@pytest.mark.parametrize(
    ("location", "code", "expected"),
    [
        ("/robots/real.txt", 301, True),
        ("real.txt", 307, True),
        ("//example.com/robots/real.txt", 308, True),
        ("HTTPS://EXAMPLE.com:443/robots/real.txt#x", 303, True),
        ("/robots.txt", 301, False),  # in a circle
        ("ftp://example.com/robots.txt", 301, False),
        ("http://user:word@example.com/x", 301, False),
        ("https://[::bad/", 302, False),
        ("/robots/real.txt", 304, False),
    ],
)
def test_where_redirects_lead(location: str, code: int, expected: bool) -> None:
    web = Answers()
    web.table = {
        ROBOTS: (code, {"Location": location}, b""),
        f"{SITE}/robots/real.txt": FORBIDS,
        f"{SITE}/real.txt": FORBIDS,
    }
    assert (SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE, "robots")) is not None) is expected


def test_a_redirect_to_where_we_must_not_go_is_a_file_that_cannot_be_read() -> None:
    web = Answers()
    web.table = {
        ROBOTS: (302, {"Location": "http://10.0.0.1/robots.txt"}, b""),
        "http://10.0.0.1/robots.txt": fetch_error(Reason.FORBIDDEN_ADDRESS, "private", "allow_networks=none"),
    }
    with pytest.raises(FetchError) as caught:
        SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE, "robots"))
    assert (caught.value.reason, caught.value.rule) == (Reason.ROBOTS_UNREACHABLE, "obey=robots")
    assert "http://10.0.0.1/robots.txt: forbidden_address: private" in caught.value.detail


def test_a_real_redirect_and_a_real_failure(web: Web) -> None:
    web.answers["/robots.txt"] = status(301, Location=web.url("/r", host="127.0.0.2"))
    web.answers["/r"] = body(b"User-agent: sdflow\nDisallow: /\n")
    sites = SitePolicies(fetch, "sdflow")
    assert sites.refusal(ask(web.url("/a"), "robots")) is not None
    web.answers["/r"] = status(500)
    with pytest.raises(FetchError):
        sites.refusal(ask(web.url("/a", host="127.0.0.3"), "robots"))
    web.close()
    with pytest.raises(FetchError) as caught:
        sites.refusal(ask(web.url("/a", host="127.0.0.4"), "robots"))
    assert "could not be read: connection_failed" in caught.value.detail


@pytest.mark.parametrize(
    ("headers", "hours"),
    [
        ({}, 24),
        ({"Cache_Control": "public, max-age=7200"}, 2),
        ({"Cache_Control": "max-age=60"}, 1),
        ({"Cache_Control": "no-cache, Max-Age=0"}, 1),
        ({"Cache_Control": "max-age=31536000"}, 24),
        ({"Cache_Control": "s-maxage=60"}, 24),
        ({"Cache_Control": "max-age=soon"}, 24),
        ({"Cache_Control": "max-age=" + "9" * 400}, 24),
    ],
)
def test_how_long_a_file_is_kept(headers: dict[str, str], hours: float) -> None:
    web, clock = Answers(), Clock()
    assert (SHORTEST_CACHED, LONGEST_CACHED) == (HOUR, 24 * HOUR)
    web.table = {ROBOTS: ok("User-agent: *\nAllow: /\n", **headers)}
    sites = SitePolicies(web, "sdflow", clock)
    for moment, times in ((0.0, 1), (hours * HOUR - 1, 1), (hours * HOUR, 2)):
        clock.now = START + moment
        assert sites.refusal(ask(PICTURE, "robots")) is None
        assert web.asked[ROBOTS] == times


def test_one_fetch_however_many_threads_want_it() -> None:
    web, gate = Answers(), threading.Event()
    web.table = {f"https://host{number}.example/robots.txt": FORBIDS for number in range(4)}

    def slowly(url: str, ask: FetchRequest, max_bytes: int) -> Response:
        gate.wait()
        return web(url, ask, max_bytes)

    sites = SitePolicies(slowly, "sdflow", Clock())
    with ThreadPoolExecutor(32) as pool:
        futures = [
            pool.submit(sites.refusal, ask(f"https://host{number % 4}.example/{number}", "robots"))
            for number in range(32)
        ]
        gate.set()
        assert all(future.result() is not None for future in futures)
    assert set(web.asked.values()) == {1}
    assert len(web.asked) == 4


def test_a_slow_site_does_not_hold_up_another() -> None:
    gate = threading.Event()

    def slowly(url: str, ask: FetchRequest, max_bytes: int) -> Response:
        if "slow" in url:
            gate.wait()
        return Response(url, 404, "", headers(), b"", "203.0.113.1")

    sites = SitePolicies(slowly, "sdflow", Clock())
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(sites.refusal, ask("https://slow.example/a"))
        assert sites.refusal(ask(PICTURE)) is None
        assert not slow.done()
        gate.set()
        assert slow.result() is None


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.web.site_files.MEMORY", 20_000)
    web = Answers()
    text = "User-agent: *\nDisallow: /" + "x" * 500
    urls = [f"https://host{number}.example/a" for number in range(20)]
    web.table = {url[:-1] + "robots.txt": ok(text) for url in urls}
    sites = SitePolicies(web, "sdflow", Clock())
    for url in [*urls, urls[-1], urls[-2], urls[0]]:
        sites.refusal(ask(url, "robots"))
    assert len(sites.evidence()) == 9  # of about 2,000 bytes each
    assert web.asked[urls[-1][:-1] + "robots.txt"] == 1
    assert web.asked[urls[0][:-1] + "robots.txt"] == 2
