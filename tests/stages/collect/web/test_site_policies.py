"""Sites and what they ask, on a real server; the clock and the web's rarer answers are chosen."""

import json
import re
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import fields, replace
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest

from stages.collect.web.errors import FetchError, fetch_error
from stages.collect.web.optout import BINDING
from stages.collect.web.records import FetchRequest, Response
from stages.collect.web.site_policies import SitePolicies
from stages.config.collect import (
    OPT_OUTS,
    CollectConfig,
    FolderSource,
    HostLimit,
    OptOut,
    ParquetSource,
    TarSource,
    UrlSource,
)
from stages.reasons import Reason
from tests.stages.collect.conftest import Web, body
from tests.work import calls

START = 1_800_000_000.0  # 2027-01-15T08:00:00Z


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def headers(**fields: str) -> HTTPMessage:
    message = HTTPMessage()
    for name, value in fields.items():
        message.add_header(name.replace("_", "-"), value)
    return message


class Answers:
    """A web in a table: URL -> status and body, or an error; counts what is asked for."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()

    def __call__(self, url: str, ask: FetchRequest, max_bytes: int) -> Response:
        self.asked[url] += 1
        answer = self.table.get(url, 404)
        if isinstance(answer, Exception):
            raise answer
        code, fields, text = answer if isinstance(answer, tuple) else (answer, {}, b"")
        return Response(url, code, "Words", headers(**fields), text, "203.0.113.1")


def ask(url: str, *obey: OptOut, networks: tuple[str, ...] = ()) -> FetchRequest:
    return FetchRequest(key="0", url=url, obey=obey or OPT_OUTS, networks=networks)


def ok(text: str, **fields: str) -> tuple[int, dict[str, str], bytes]:
    return 200, fields, text.encode()


def fetch(url: str, ask: FetchRequest, max_bytes: int) -> Response:
    """One GET, redirects not followed, as `Get` wants it."""

    class Unfollowed(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(Unfollowed)
    try:
        with opener.open(url, timeout=10) as answer:
            return Response(
                url, answer.status, answer.reason, answer.headers, answer.read(max_bytes), "127.0.0.1"
            )
    except urllib.error.HTTPError as answer:
        with answer:
            return Response(url, answer.code, str(answer.reason), answer.headers, b"", "127.0.0.1")
    except OSError as error:
        raise fetch_error(Reason.CONNECTION_FAILED, str(error)) from error


SITE = "https://example.com"
PICTURE = f"{SITE}/a.jpg"
ROBOTS = f"{SITE}/robots.txt"
TDMREP = f"{SITE}/.well-known/tdmrep.json"
FORBIDS = ok("User-agent: *\nDisallow: /\n")


def test_a_site_whose_rules_are_a_bomb_costs_little_and_forbids_all(web: Web) -> None:
    agents = "".join(f"user-agent:{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}x\n" for n in range(16_000))
    rules = "".join(f"disallow:/*{n:x}\n" for n in range(15_000))
    web.answers["/robots.txt"] = body(f"{agents}user-agent:sdflow\n{rules}".encode())
    tdm = [{"location": f"/x{n:x}*", "tdm-reservation": 0} for n in range(10_000)]
    web.answers["/.well-known/tdmrep.json"] = body(json.dumps(tdm).encode())
    sites = SitePolicies(fetch, "sdflow", Clock())

    def refusals() -> None:
        kinds: tuple[tuple[OptOut, ...], ...] = (("robots",), ("tdmrep",))
        for obeyed in kinds:
            signal = sites.refusal(replace(ask(web.url("/a.jpg")), obey=obeyed))
            assert signal is not None
            assert signal.value.startswith("more rules than are read")

    assert calls(refusals) < 500_000  # some ten for each line, where lines times crawlers are 240 millions
    assert calls(refusals) < 8_000  # the 2,000 rules of the second that are kept, three for each


def test_a_real_site(web: Web) -> None:
    web.answers["/robots.txt"] = body(
        b"User-agent: *\nCrawl-delay: 2\nDisallow: /no/\nContent-Usage: /wish/ train-ai=n\n"
    )
    web.answers["/.well-known/tdmrep.json"] = body(b'[{"location": "/mine/", "tdm-reservation": 1}]')
    sites = SitePolicies(fetch, "sdflow", Clock())
    when = "2027-01-15T08:00:00Z"
    assert sites.crawl_delay(web.url("/a")) is None  # not read yet
    assert sites.refusal(ask(web.url("/a.jpg"))) is None
    for path, kind, value, file in [
        ("/no/a.jpg", "robots", "Disallow: /no/", "/robots.txt"),
        ("/wish/a.jpg", "aipref", "Content-Usage: /wish/ train-ai=n", "/robots.txt"),
        ("/mine/a.jpg", "tdmrep", '{"location": "/mine/", "tdm-reservation": 1}', "/.well-known/tdmrep.json"),
    ]:
        signal = sites.refusal(ask(web.url(path)))
        assert signal is not None
        assert (signal.kind, signal.value, signal.where, signal.when) == (kind, value, web.url(file), when)
    assert sites.crawl_delay(web.url("/b")) == 2.0
    assert web.asked == {"/robots.txt": 1, "/.well-known/tdmrep.json": 1}
    robots, tdmrep = sites.evidence()[::-1]
    assert robots == {
        "url": web.url("/robots.txt"),
        "status": 200,
        "fetched_at": when,
        "bytes": 77,
        "crawl_delay": 2.0,
        "detail": "",
    }
    assert (tdmrep["status"], tdmrep["bytes"], tdmrep["crawl_delay"]) == (200, 46, None)


def test_only_what_is_obeyed_is_fetched() -> None:
    web = Answers()
    web.table = {ROBOTS: FORBIDS, TDMREP: ok('[{"location": "/", "tdm-reservation": 1}]')}
    sites = SitePolicies(web, "sdflow", Clock())
    assert sites.refusal(replace(ask(PICTURE), obey=())) is None
    assert sites.refusal(ask(PICTURE, "x-robots-tag")) is None
    assert not web.asked
    signal = sites.refusal(ask(PICTURE, "tdmrep"))
    assert signal is not None
    assert signal.kind == "tdmrep"
    assert web.asked == {TDMREP: 1}
    assert sites.refusal(ask(PICTURE, "aipref")) is None  # the Disallow does not bind
    signal = sites.refusal(ask(PICTURE, "robots"))
    assert signal is not None
    assert signal.kind == "robots"
    assert web.asked == {TDMREP: 1, ROBOTS: 1}


def test_a_forbidden_site_is_not_asked_for_more() -> None:
    web = Answers()
    web.table = {ROBOTS: ok("User-agent: *\nDisallow: /.well-known/\n")}
    assert SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE)) is None
    web.table = {ROBOTS: FORBIDS}
    assert SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE)) is not None
    assert web.asked == {ROBOTS: 2}


def test_sites_are_told_apart_by_scheme_host_and_port() -> None:
    web = Answers()
    web.table = {ROBOTS: FORBIDS}
    sites = SitePolicies(web, "sdflow", Clock())
    for url in (
        "http://example.com/a",
        "https://example.com:8443/a",
        "https://www.example.com/a",
        "http://[2001:db8::1]/a",
    ):
        assert sites.refusal(ask(url, "robots")) is None
    assert sites.refusal(ask(PICTURE, "robots")) is not None
    assert set(web.asked) == {
        "http://example.com/robots.txt",
        "https://example.com:8443/robots.txt",
        "https://www.example.com/robots.txt",
        "http://[2001:db8::1]/robots.txt",
        ROBOTS,
    }


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451, 204, 304, 300])
def test_a_site_without_the_file_allows_all(code: int) -> None:
    web = Answers()
    web.table = {ROBOTS: code, TDMREP: code}
    assert SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE)) is None


def test_tdmrep_json_that_fails_is_none_but_one_that_is_not_answered_is_waited_for() -> None:
    for failure in (500, 503):
        web = Answers()
        web.table = {TDMREP: failure}
        assert SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE)) is None
    for failure in (429, fetch_error(Reason.TIMEOUT, "words")):
        web.table = {TDMREP: failure}
        with pytest.raises(FetchError) as caught:
            SitePolicies(web, "sdflow", Clock()).refusal(ask(PICTURE))
        assert (caught.value.reason, caught.value.rule) == (Reason.ROBOTS_UNREACHABLE, "obey=tdmrep")


def test_the_page_for_sites_and_operators_names_every_key_and_every_directive() -> None:
    page = (Path(__file__).parents[4] / "docs" / "collection.md").read_text(encoding="utf-8")
    kinds = (CollectConfig, UrlSource, FolderSource, TarSource, ParquetSource, HostLimit)
    keys = {field.name for kind in kinds for field in fields(kind)}
    assert not {key for key in {*keys, *OPT_OUTS} if f"`{key}`" not in page}
    assert not {directive for directive in BINDING if not re.search(rf"[` ]{directive}`", page)}
