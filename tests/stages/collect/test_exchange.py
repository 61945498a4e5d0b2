"""One GET: its limits, its words, and the connection that it leaves behind."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

import pytest

from stages.collect import idle
from stages.collect.answer import FetchError, Response, failed
from stages.collect.connection import HEAD_BYTES
from stages.collect.exchange import ERROR_BYTES, Exchanger
from stages.collect.resolver import Address
from stages.reasons import Reason
from tests.stages.collect.wire import Script, Wire, answer, ok, served

LOOPBACK = ("127.0.0.0/8", "::1/128")
Get = Callable[..., Response]


def here(host: str, port: int, _: float) -> list[Address]:
    """Every name is this machine; no name is asked for."""
    if ":" in host:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def exchanger() -> Iterator[Exchanger]:
    exchanger = Exchanger(agent="birds", contact="https://birds.example", resolve=here)
    yield exchanger
    exchanger.close()


@pytest.fixture
def get(exchanger: Exchanger) -> Get:
    def get(url: str, seconds: float = 10.0, **changes: object) -> Response:
        limits = {"networks": LOOPBACK, "max_bytes": 1000, "until": time.monotonic() + seconds, **changes}
        return exchanger.get(url, **limits)  # type: ignore[arg-type]

    return get


def fails(get: Get, url: str, **changes: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, **changes)
    return caught.value


def sends(data: bytes, then_close: bool = True) -> Script:
    """The same bytes for every request."""

    def script(connection: socket.socket, _: str) -> bytes | None:
        if then_close:
            connection.sendall(data)
            return None
        return data

    return script


def test_what_is_asked_and_what_comes(get: Get) -> None:
    with served(sends(ok(b"abc", 'ETag: "1"'), then_close=False)) as wire:
        said = get(wire.url("/a%20b?q=%2b"), headers={"If-None-Match": '"0"'})
        assert (said.status, said.reason, said.body, said.headers["ETag"]) == (200, "OK", b"abc", '"1"')
        assert (said.url, said.address) == (wire.url("/a%20b?q=%2b"), "127.0.0.1")
    lines = wire.asked[0][1].splitlines()
    assert lines[0] == "GET /a%20b?q=%2b HTTP/1.1"
    assert {
        f"Host: 127.0.0.1:{wire.port}", "User-Agent: birds/0.1.0 (+https://birds.example)",
        "Accept-Encoding: identity", 'If-None-Match: "0"',
    } <= set(lines)  # fmt: skip
    assert not any(line.lower().startswith(("cookie", "referer", "authorization")) for line in lines)


def test_without_a_contact_it_says_what_it_is() -> None:
    exchanger = Exchanger(agent="birds", resolve=here)
    with served(sends(ok(b""))) as wire:
        exchanger.get(wire.url(), networks=LOOPBACK, max_bytes=9, until=time.monotonic() + 10)
    exchanger.close()
    assert "User-Agent: birds/0.1.0 (collects images for a dataset)\r\n" in wire.asked[0][1]


def test_a_connection_is_used_again_while_all_is_well(get: Get) -> None:
    bodies = count()

    def script(_: socket.socket, head: str) -> bytes:
        status = head.split()[1].strip("/")
        return answer(f"{status} So", f"number {next(bodies)}".encode())

    with served(script) as wire:
        for status in (200, 404, 302, 200, 503, 200):
            assert get(wire.url(f"/{status}")).status == status
        assert get(wire.url("/200")).body == b"number 6"
        assert set(wire.numbers()) == {1}
        get(wire.url("/200"), networks=("127.0.0.1/32", "10.0.0.0/8"))
        assert wire.numbers()[-1] == 2, "what one policy opened is not for another"


CLOSING = {
    "asked to": ok(b"abc", "Connection: close"),
    "HTTP/1.0": ok(b"abc").replace(b"1.1", b"1.0"),
    "too much": ok(b"x" * 1001),
    "no end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "large error": answer("404 Not Found", b"x" * (ERROR_BYTES + 1)),
}


@pytest.mark.parametrize("data", CLOSING.values(), ids=CLOSING)
def test_a_connection_is_not_used_again_otherwise(get: Get, data: bytes) -> None:
    def script(_: socket.socket, head: str) -> bytes | None:
        return data if "/first" in head else ok(b"fine")

    with served(script) as wire:
        with suppress(FetchError):
            get(wire.url("/first"), seconds=0.5)
        assert get(wire.url("/second")).body == b"fine"
        assert wire.numbers() == [1, 2]


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer(get: Get) -> None:
    sent = threading.Event()

    def script(connection: socket.socket, head: str) -> bytes | None:
        if "/first" not in head:
            return ok(b"fine")
        connection.sendall(ok(b"abc"))
        connection.sendall(ok(b"smuggled"))
        sent.set()
        return b""

    with served(script) as wire:
        assert get(wire.url("/first")).body == b"abc"
        assert sent.wait(10)
        assert get(wire.url("/second")).body == b"fine"


def test_one_that_was_closed_meanwhile_is_replaced(get: Get) -> None:
    def script(connection: socket.socket, _: str) -> bytes | None:
        connection.sendall(ok(b"abc"))
        return None

    with served(script) as wire:
        assert [get(wire.url()).body for _ in range(3)] == [b"abc"] * 3
        assert wire.numbers() == [1, 2, 3]


def test_one_that_dies_when_it_is_asked_is_replaced_once(get: Get) -> None:
    def script(_: socket.socket, head: str) -> bytes | None:
        return (
            ok(b"abc")
            if wire.numbers().count(len(set(wire.numbers()))) == 1 and "/dead" not in head
            else None
        )

    with served(script) as wire:
        assert [get(wire.url()).body for _ in range(3)] == [b"abc"] * 3
        assert wire.numbers() == [1, 1, 2, 2, 3]
        assert fails(get, wire.url("/dead")).reason == Reason.CONNECTION_FAILED
        assert wire.numbers()[5:] == [3, 4], "a new one that dies is not replaced"


def test_one_that_breaks_in_the_body_is_not_asked_again(get: Get) -> None:
    def script(connection: socket.socket, head: str) -> bytes | None:
        if "/good" in head:
            return ok(b"abc")
        connection.sendall(ok(b"abcdef")[:-3])
        return None

    with served(script) as wire:
        get(wire.url("/good"))
        error = fails(get, wire.url("/bad"))
        assert (error.reason, error.detail) == (
            Reason.CONNECTION_FAILED,
            "the connection ended before the body did",
        )
        assert wire.numbers() == [1, 1]


def test_it_is_not_kept_for_long_nor_are_many(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(sends(ok(b"abc"), then_close=False)) as wire:
        monkeypatch.setattr(idle, "IDLE_SECONDS", 0.0)
        for _ in range(3):
            get(wire.url())
        assert wire.numbers() == [1, 2, 3]
        monkeypatch.setattr(idle, "IDLE_SECONDS", 100.0)
        monkeypatch.setattr(idle, "MAX_IDLE", 2)
        for host in (
            "a.example",
            "b.example",
            "c.example",
            "d.example",
            "d.example",
            "c.example",
            "a.example",
        ):
            get(wire.url(host=host))
        assert wire.numbers()[3:] == [4, 5, 6, 7, 7, 6, 8], "the oldest go first"


def test_threads_do_not_share_a_connection_at_the_same_time(get: Get) -> None:
    def script(_: socket.socket, head: str) -> bytes:
        return ok(head.split()[1].encode())

    with served(script) as wire, ThreadPoolExecutor(16) as pool:
        paths = [f"/{number}" for number in range(400)]
        assert [said.body.decode() for said in pool.map(lambda path: get(wire.url(path)), paths)] == paths
        assert wire.connections <= 17


def test_after_its_end_nothing_is_kept(exchanger: Exchanger, get: Get) -> None:
    with served(sends(ok(b"abc"), then_close=False)) as wire:
        get(wire.url())
        exchanger.close()
        get(wire.url())
        get(wire.url())
        assert wire.numbers() == [1, 2, 3]


def test_too_many_bytes_announced_or_not(get: Get) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    flood = chunked + b"ff\r\n" + b"x" * 255 + b"\r\n"
    with served(
        lambda connection, _: connection.sendall(flood) or b"FF\r\n" + b"x" * 255 + b"\r\n" * 9
    ) as wire:
        assert fails(get, wire.url(), max_bytes=300).detail == "more than 300 bytes"
    with served(sends(ok(b"x" * 1001))) as wire:
        assert fails(get, wire.url()).detail == "1001 bytes announced"
    with served(sends(ok(b"x" * 1000))) as wire:
        assert get(wire.url()).body == b"x" * 1000
    with served(sends(ok(gzip.compress(bytes(1001)), "Content-Encoding: gzip"))) as wire:
        assert fails(get, wire.url()).reason == Reason.TOO_MANY_BYTES
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
def test_what_is_no_answer(get: Get, data: bytes, detail: str) -> None:
    with served(sends(data)) as wire:
        error = fails(get, wire.url())
    assert (error.reason, error.detail) == (Reason.BAD_ANSWER, detail)


def test_what_is_announced_before_the_answer_is_passed_over(get: Get) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with served(sends(early + ok(b"abc"), then_close=False)) as wire:
        assert [get(wire.url()).body for _ in range(2)] == [b"abc"] * 2
        assert wire.numbers() == [1, 1]


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"], ids=["none", "head"])
def test_an_answer_that_breaks_off_before_its_body(get: Get, data: bytes) -> None:
    with served(sends(data)) as wire:
        assert fails(get, wire.url()).reason == Reason.CONNECTION_FAILED


def test_a_body_that_breaks_off(get: Get) -> None:
    short = "the connection ended before the body did"
    for data in (ok(b"abcdef")[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"):
        with served(sends(data)) as wire:
            error = fails(get, wire.url())
        assert (error.reason, error.detail) == (Reason.CONNECTION_FAILED, short)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"],
    ids=["status line", "header", "body"],
)
def test_a_drip_ends_by_the_moment(get: Get, start: bytes) -> None:
    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        for _ in range(400):
            time.sleep(0.05)
            connection.sendall(b"x")

    with served(script) as wire:
        before = time.monotonic()
        error = fails(get, wire.url(), seconds=0.4)
    assert (error.reason, error.detail) == (Reason.TIMEOUT, "no whole answer in time")
    assert time.monotonic() - before < 10  # far less than the drip: a bound on waiting, no measurement


def test_a_kept_connection_has_the_moment_of_its_new_exchange(get: Get) -> None:
    def script(connection: socket.socket, _: str) -> bytes:
        time.sleep(0.3)
        return ok(b"abc")

    with served(script) as wire:
        assert get(wire.url(), seconds=0.6).body == b"abc"
        assert get(wire.url(), seconds=10).body == b"abc"
        assert fails(get, wire.url(), seconds=0.1).reason == Reason.TIMEOUT
        assert wire.numbers() == [1, 1, 1]


def test_the_body_of_an_error_costs_little_time(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.exchange.ERROR_SECONDS", 0.1)

    def script(connection: socket.socket, _: str) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 500\r\n\r\n")
        for _ in range(400):
            time.sleep(0.05)
            connection.sendall(b"x")

    with served(script) as wire:
        before = time.monotonic()
        said = get(wire.url(), seconds=30)
    assert (said.status, said.body) == (404, b"")
    assert time.monotonic() - before < 10  # far less than the drip: a bound on waiting, no measurement


def test_who_heeds_the_head_can_refuse_the_body(get: Get) -> None:
    seen: list[Response] = []

    def heed(head: Response) -> None:
        seen.append(head)
        raise failed(Reason.OPTED_OUT, "noai")

    with served(sends(ok(b"x" * 1001, "X-Robots-Tag: noai"), then_close=False)) as wire:
        assert fails(get, wire.url(), heed=heed).reason == Reason.OPTED_OUT
    assert (seen[0].status, seen[0].body, seen[0].headers["X-Robots-Tag"]) == (200, b"", "noai")


def test_hosts_without_a_server(get: Get, wire: Wire) -> None:
    error = fails(get, wire.url())
    assert (error.reason, error.detail) == (Reason.CONNECTION_FAILED, "Connection refused")


@pytest.fixture
def wire() -> Wire:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Wire(server.getsockname()[1])


def test_addresses_that_are_not_public_are_not_asked(get: Get) -> None:
    with served(sends(ok(b"abc"))) as wire:
        error = fails(get, wire.url(), networks=())
        assert (error.reason, error.detail) == (
            Reason.FORBIDDEN_ADDRESS,
            "127.0.0.1 is 127.0.0.1 (loopback)",
        )
        assert wire.connections == 0


def test_hosts_by_ipv6(get: Get) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with served(sends(ok(b"abc")), "::1") as wire:
            assert get(f"http://[::1]:{wire.port}/x").body == b"abc"
            assert f"Host: [::1]:{wire.port}\r\n" in wire.asked[0][1]
    except OSError:
        pytest.skip("no IPv6 here")


def test_a_proxy_of_the_environment_is_not_used(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with served(sends(ok(b"abc"))) as wire:
        assert get(wire.url()).body == b"abc"


def test_what_cannot_be_written_into_a_request(get: Get) -> None:
    error = fails(get, "http://a.example:1/ä")
    assert (error.reason, error.detail) == (Reason.BAD_URL, "no URL that can be asked for")
