"""One GET: its limits, its words, and the connection that it leaves behind."""

import gzip
import socket
import time
from collections.abc import Iterator

import pytest

from stages.collect.web.connection import HEAD_BYTES
from stages.collect.web.errors import fetch_error
from stages.collect.web.http_client import HttpClient
from stages.collect.web.records import Response
from stages.reasons import Reason
from tests.stages.collect.wire import LOOPBACK, Asker, Wire, here, ok, sends, served


@pytest.fixture
def get() -> Iterator[Asker]:
    get = Asker()
    yield get
    get.client.close()


def test_what_is_asked_and_what_comes(get: Asker) -> None:
    with served(sends(ok(b"abc", 'ETag: "1"'), then_close=False)) as wire:
        response = get(wire.url("/a%20b?q=%2b"), headers={"If-None-Match": '"0"'})
        assert (response.status, response.reason, response.body, response.headers["ETag"]) == (
            200,
            "OK",
            b"abc",
            '"1"',
        )
        assert (response.url, response.address) == (wire.url("/a%20b?q=%2b"), "127.0.0.1")
    lines = wire.asked[0][1].splitlines()
    assert lines[0] == "GET /a%20b?q=%2b HTTP/1.1"
    assert {
        f"Host: 127.0.0.1:{wire.port}", "User-Agent: birds/0.1.0 (+https://birds.example)",
        "Accept-Encoding: identity", 'If-None-Match: "0"',
    } <= set(lines)  # fmt: skip
    assert not any(line.lower().startswith(("cookie", "referer", "authorization")) for line in lines)


def test_without_a_contact_it_says_what_it_is() -> None:
    client = HttpClient(agent="birds", resolve=here)
    with served(sends(ok(b""))) as wire:
        client.get(wire.url(), networks=LOOPBACK, max_bytes=9, until=time.monotonic() + 10)
    client.close()
    assert "User-Agent: birds/0.1.0 (collects images for a dataset)\r\n" in wire.asked[0][1]


def test_too_many_bytes_announced_or_not(get: Asker) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    flood = chunked + b"ff\r\n" + b"x" * 255 + b"\r\n"
    with served(
        lambda connection, _: connection.sendall(flood) or b"FF\r\n" + b"x" * 255 + b"\r\n" * 9
    ) as wire:
        assert get.fails(wire.url(), max_bytes=300).detail == "more than 300 bytes"
    with served(sends(ok(b"x" * 1001))) as wire:
        assert get.fails(wire.url()).detail == "1001 bytes announced"
    with served(sends(ok(b"x" * 1000))) as wire:
        assert get(wire.url()).body == b"x" * 1000
    with served(sends(ok(gzip.compress(bytes(1001)), "Content-Encoding: gzip"))) as wire:
        assert get.fails(wire.url()).reason == Reason.TOO_MANY_BYTES
        assert get(wire.url(), max_bytes=1001).body == bytes(1001)


BAD = {
    b"\x00\x01 this is no HTTP\r\n\r\n": "no HTTP",
    b"HTTP/3.7 200 OK\r\n\r\n": "no HTTP",
    b"HTTP/1.1 2000 OK\r\n\r\n": "no HTTP",
    b"HTTP/1.1 200 OK\r\nX: "
    + b"x" * 70_000
    + b"\r\n\r\n": "got more than 65536 bytes when reading header line",
    b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n": "got more than 100 headers",
    b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"x" * 60_000 + b"\r\n") * 3 + b"\r\n": "got too many headers",
    b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES // 25 + 1): "got too many headers",
}


@pytest.mark.parametrize(("data", "detail"), BAD.items(), ids=range(len(BAD)))
def test_what_is_no_answer(get: Asker, data: bytes, detail: str) -> None:
    with served(sends(data)) as wire:
        error = get.fails(wire.url())
    assert (error.reason, error.detail) == (Reason.BAD_ANSWER, detail)


def test_what_is_announced_before_the_answer_is_passed_over(get: Asker) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with served(sends(early + ok(b"abc"), then_close=False)) as wire:
        assert [get(wire.url()).body for _ in range(2)] == [b"abc"] * 2
        assert wire.numbers() == [1, 1]


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"], ids=["none", "head"])
def test_an_answer_that_breaks_off_before_its_body(get: Asker, data: bytes) -> None:
    with served(sends(data)) as wire:
        assert get.fails(wire.url()).reason == Reason.CONNECTION_FAILED


def test_a_body_that_breaks_off(get: Asker) -> None:
    short = "the connection ended before the body did"
    for data in (ok(b"abcdef")[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"):
        with served(sends(data)) as wire:
            error = get.fails(wire.url())
        assert (error.reason, error.detail) == (Reason.CONNECTION_FAILED, short)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"],
    ids=["status line", "header", "body"],
)
def test_a_drip_ends_by_the_moment(get: Asker, start: bytes) -> None:
    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while True:  # until nobody listens any more
            time.sleep(0.05)
            connection.sendall(b"x")

    with served(script) as wire:
        error = get.fails(wire.url(), seconds=0.4)
    assert (error.reason, error.detail) == (Reason.TIMEOUT, "no whole answer in time")


def test_the_body_of_an_error_costs_little_time(get: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.web.http_client.ERROR_SECONDS", 0.1)

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 500\r\n\r\n")
        while True:  # until nobody listens any more
            time.sleep(0.05)
            connection.sendall(b"x")

    with served(script) as wire:
        response = get(wire.url(), seconds=600)
    assert (response.status, response.body) == (404, b"")


def test_who_heeds_the_head_can_refuse_the_body(get: Asker) -> None:
    seen: list[Response] = []

    def on_headers(head: Response) -> None:
        seen.append(head)
        raise fetch_error(Reason.OPTED_OUT, "noai")

    with served(sends(ok(b"x" * 1001, "X-Robots-Tag: noai"), then_close=False)) as wire:
        assert get.fails(wire.url(), on_headers=on_headers).reason == Reason.OPTED_OUT
    assert (seen[0].status, seen[0].body, seen[0].headers["X-Robots-Tag"]) == (200, b"", "noai")


def test_hosts_without_a_server(get: Asker, wire: Wire) -> None:
    error = get.fails(wire.url())
    assert (error.reason, error.detail) == (Reason.CONNECTION_FAILED, "Connection refused")


@pytest.fixture
def wire() -> Wire:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Wire(server.getsockname()[1])


def test_addresses_that_are_not_public_are_not_asked(get: Asker) -> None:
    with served(sends(ok(b"abc"))) as wire:
        error = get.fails(wire.url(), networks=())
        assert (error.reason, error.detail) == (
            Reason.FORBIDDEN_ADDRESS,
            "127.0.0.1 is 127.0.0.1 (loopback)",
        )
        assert wire.connections == 0


def test_hosts_by_ipv6(get: Asker) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with served(sends(ok(b"abc")), "::1") as wire:
            assert get(f"http://[::1]:{wire.port}/x").body == b"abc"
            assert f"Host: [::1]:{wire.port}\r\n" in wire.asked[0][1]
    except OSError:
        pytest.skip("no IPv6 here")


def test_a_proxy_of_the_environment_is_not_used(get: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(sends(ok(b"abc"))) as wire:
        assert get(wire.url()).body == b"abc"


def test_what_cannot_be_written_into_a_request(get: Asker) -> None:
    error = get.fails("http://a.example:1/ä")
    assert (error.reason, error.detail) == (Reason.BAD_URL, "no URL that can be asked for")
