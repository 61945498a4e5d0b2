"""What servers do and what sites ask for, as a client sees it."""

import http.client
import socket
from collections.abc import Iterator
from http.client import HTTPMessage

import numpy as np
import pandas as pd
import pytest

from stages.collect.web.optout import refusal_in_headers
from stages.collect.web.robots import Robots
from stages.collect.web.tdmrep import Reservations
from stages.config.collect import OPT_OUTS
from stages.demo import manners, world
from stages.demo.defects import DEFECTS, WEB_DEFECTS, Rates
from stages.demo.server import DemoServer
from stages.demo.site import DemoSite, build
from stages.demo.unusual import turned
from stages.image import decode_image

RATES = Rates(
    **dict.fromkeys(DEFECTS, 0),
    **{**dict.fromkeys(WEB_DEFECTS, 0.02), "x_robots_tag": 0.1, "placeholder": 0.08},
)
SEED = 6
OPTED_OUT = ("robots", "x_robots_tag", "content_usage", "tdm")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> DemoSite:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return build(tmp_path_factory.mktemp("site"), 200, seed=SEED, rates=RATES, port=port)


@pytest.fixture(scope="module")
def truth(site: DemoSite) -> pd.DataFrame:
    return pd.read_parquet(site.truth)


@pytest.fixture
def server(site: DemoSite) -> Iterator[DemoServer]:
    with DemoServer(site) as running:
        yield running


def split(url: str) -> tuple[str, str]:
    """(host and port, path)."""
    host, _, path = url.removeprefix("http://").partition("/")
    return host, "/" + path


def get(url: str) -> tuple[int, HTTPMessage, bytes]:
    """One request; redirects are not followed."""
    host, path = split(url)
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def urls(truth: pd.DataFrame, defect: str) -> list[str]:
    urls = truth[truth.defect == defect].url.to_list()
    assert urls, defect
    return urls


def drawn(row: int, side: int) -> np.ndarray:
    return world.render(world.scene(SEED, row), side).astype(int)


@pytest.mark.parametrize(("defect", "most"), [("", 6), ("deep", 0), ("exif", 6), ("cmyk", 6)])
def test_good_pictures_show_the_scene_when_they_are_read_right(
    server: DemoServer, truth: pd.DataFrame, defect: str, most: float
):
    for row in truth[truth.defect == defect].head(8).itertuples():
        shown = decode_image(get(row.url)[2]).astype(int)
        assert np.abs(shown - drawn(row.row, row.side)).mean() <= most


def test_every_orientation_is_set_right():
    pixels = world.render(world.scene(SEED, 1), 48)
    for row in range(7):
        shown = decode_image(turned(pixels, 95, 2 + row))
        assert np.abs(shown.astype(int) - pixels).mean() < 4


def test_a_redirect_leads_to_the_picture(server: DemoServer, truth: pd.DataFrame):
    for row in truth[truth.defect == "redirect"].itertuples():
        status, headers, _ = get(row.url)
        assert status == 302
        status, _, body = get(server.url + headers["Location"])
        assert status == 200
        assert decode_image(body).shape == (row.side, row.side, 3)


def test_a_loop_leads_back(server: DemoServer, truth: pd.DataFrame):
    for url in urls(truth, "redirect_loop"):
        status, headers, _ = get(url)
        assert status == 302
        assert headers["Location"] != split(url)[1]
        status, headers, _ = get(server.url + headers["Location"])
        assert (status, headers["Location"]) == (302, split(url)[1])


def test_a_redirect_to_a_private_network_says_so(server: DemoServer, truth: pd.DataFrame):
    for url in urls(truth, "redirect_private"):
        status, headers, _ = get(url)
        assert status == 302
        assert headers["Location"].startswith("http://10.0.0.1/")


def test_too_many_requests_are_refused_once_each(server: DemoServer, truth: pd.DataFrame):
    for url in urls(truth, "too_many"):
        assert url.startswith("http://127.0.0.2:")
        status, headers, _ = get(url)
        assert (status, headers["Retry-After"]) == (429, "1")
        assert get(url)[0] == 200


def test_a_flapping_host_fails_at_first_and_then_no_more(server: DemoServer, truth: pd.DataFrame):
    flapping = urls(truth, "flapping")
    assert all(url.startswith("http://127.0.0.2:") for url in flapping)
    failing = min(manners.FLAPS, len(flapping))
    statuses = [get(flapping[n % len(flapping)])[0] for n in range(failing + len(flapping))]
    assert statuses == [503] * failing + [200] * len(flapping)


def test_a_drip_comes_a_byte_at_a_time(
    server: DemoServer, truth: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(manners, "DRIP_SECONDS", 0.01)
    host, path = split(urls(truth, "drip")[0])
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert int(answer.headers["Content-Length"]) > 500
    assert sum(len(answer.read1(1000)) for _ in range(5)) < 100
    connection.close()


def test_closing_ends_a_drip(site: DemoSite, truth: pd.DataFrame):
    host, path = split(urls(truth, "drip")[0])
    with DemoServer(site):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read1(10)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


def test_a_huge_body_is_announced_and_sent_and_whoever_hangs_up_disturbs_nobody(
    server: DemoServer, truth: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    url = urls(truth, "huge")[0]
    host, path = split(url)
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert int(answer.headers["Content-Length"]) == 300_000_000
    assert len(answer.read(1_000_000)) == 1_000_000
    answer.close()
    connection.close()
    monkeypatch.setattr(manners, "HUGE_BYTES", 1_000_003)
    assert len(get(url)[2]) == 1_000_003


def test_placeholders_are_one_picture_under_many_captions(server: DemoServer, truth: pd.DataFrame):
    shown = urls(truth, "placeholder")
    assert len(shown) >= manners.PLACEHOLDERS
    assert len({get(url)[2] for url in shown}) == 1
    table = pd.read_parquet(server.site.table)
    assert table[table.url.isin(shown)].caption.nunique() > 5


def test_every_opted_out_row_says_no_by_its_own_signal_and_no_other_row_does(
    server: DemoServer, truth: pd.DataFrame
):
    robots = Robots(get(server.url + manners.ROBOTS)[2], "sdflow")
    reserved = Reservations(get(server.url + manners.TDMREP)[2])
    quick = truth[~truth.defect.isin(["drip", "huge"])]
    for row in quick.itertuples():
        paths: set[str] = set()
        if robots.forbids(row.url):
            paths.add("robots")
        if robots.reserves(row.url):
            paths.add("content_usage")
        if reserved.reserves(row.url):
            paths.add("tdm")
        signal = refusal_in_headers(get(row.url)[1], row.url, "sdflow", OPT_OUTS, "")
        kinds = {"x-robots-tag": "x_robots_tag", "aipref": "content_usage", "tdmrep": "tdm"}
        if signal is not None:
            paths.add(kinds[signal.kind])
        assert paths == ({row.defect} & set(OPTED_OUT)), row.url


def test_every_form_of_x_robots_tag_is_served(server: DemoServer, truth: pd.DataFrame):
    values = {tuple(get(url)[1].get_all("X-Robots-Tag") or ()) for url in urls(truth, "x_robots_tag")}
    assert len(values) >= 8
    assert values <= set(manners.X_ROBOTS_TAGS)


def test_the_log_tells_when_each_request_began_and_ended(server: DemoServer, truth: pd.DataFrame):
    first, other = urls(truth, "")[0], urls(truth, "flapping")[0]
    get(first)
    get(other)
    log = server.log
    assert [(event.host, event.path, event.phase) for event in log] == [
        ("127.0.0.1", split(first)[1], "start"),
        ("127.0.0.1", split(first)[1], "end"),
        ("127.0.0.2", split(other)[1], "start"),
        ("127.0.0.2", split(other)[1], "end"),
    ]
    assert [event.time for event in log] == sorted(event.time for event in log)
