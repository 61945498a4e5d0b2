"""Connections that are kept open: when they are used again, and when not."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from types import SimpleNamespace

import pytest

from stages.collect.web import pool
from stages.collect.web.errors import FetchError
from stages.collect.web.http_client import ERROR_BYTES
from stages.reasons import Reason
from tests.stages.collect.wire import Asker, answer, ok, sends, served


@pytest.fixture
def get() -> Iterator[Asker]:
    get = Asker()
    yield get
    get.client.close()


def test_a_connection_is_used_again_while_all_is_well(get: Asker) -> None:
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
def test_a_connection_is_not_used_again_otherwise(get: Asker, data: bytes) -> None:
    def script(_: socket.socket, head: str) -> bytes | None:
        return data if "/first" in head else ok(b"fine")

    with served(script) as wire:
        with suppress(FetchError):
            get(wire.url("/first"), seconds=0.5)
        assert get(wire.url("/second")).body == b"fine"
        assert wire.numbers() == [1, 2]


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer(get: Asker) -> None:
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


def test_one_that_was_closed_meanwhile_is_replaced(get: Asker) -> None:
    def script(connection: socket.socket, _: str) -> bytes | None:
        connection.sendall(ok(b"abc"))
        return None

    with served(script) as wire:
        assert [get(wire.url()).body for _ in range(3)] == [b"abc"] * 3
        assert wire.numbers() == [1, 2, 3]


def test_one_that_dies_when_it_is_asked_is_replaced_once(get: Asker) -> None:
    def script(_: socket.socket, head: str) -> bytes | None:
        return (
            ok(b"abc")
            if wire.numbers().count(len(set(wire.numbers()))) == 1 and "/dead" not in head
            else None
        )

    with served(script) as wire:
        assert [get(wire.url()).body for _ in range(3)] == [b"abc"] * 3
        assert wire.numbers() == [1, 1, 2, 2, 3]
        assert get.fails(wire.url("/dead")).reason == Reason.CONNECTION_FAILED
        assert wire.numbers()[5:] == [3, 4], "a new one that dies is not replaced"


def test_one_that_breaks_in_the_body_is_not_asked_again(get: Asker) -> None:
    def script(connection: socket.socket, head: str) -> bytes | None:
        if "/good" in head:
            return ok(b"abc")
        connection.sendall(ok(b"abcdef")[:-3])
        return None

    with served(script) as wire:
        get(wire.url("/good"))
        error = get.fails(wire.url("/bad"))
        assert (error.reason, error.detail) == (
            Reason.CONNECTION_FAILED,
            "the connection ended before the body did",
        )
        assert wire.numbers() == [1, 1]


def test_it_is_not_kept_for_long_nor_are_many(get: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(sends(ok(b"abc"), then_close=False)) as wire:
        monkeypatch.setattr(pool, "IDLE_SECONDS", 0.0)
        for _ in range(3):
            get(wire.url())
        assert wire.numbers() == [1, 2, 3]
        monkeypatch.setattr(pool, "IDLE_SECONDS", 100.0)
        monkeypatch.setattr(pool, "MAX_IDLE", 2)
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


def test_threads_do_not_share_a_connection_at_the_same_time(get: Asker) -> None:
    def script(_: socket.socket, head: str) -> bytes:
        return ok(head.split()[1].encode())

    with served(script) as wire, ThreadPoolExecutor(16) as pool:
        paths = [f"/{number}" for number in range(400)]
        assert [
            response.body.decode() for response in pool.map(lambda path: get(wire.url(path)), paths)
        ] == paths
        assert wire.connections <= 17


def test_after_its_end_nothing_is_kept(get: Asker) -> None:
    with served(sends(ok(b"abc"), then_close=False)) as wire:
        get(wire.url())
        get.client.close()
        get(wire.url())
        get(wire.url())
        assert wire.numbers() == [1, 2, 3]


def test_a_kept_connection_has_the_moment_of_its_new_exchange(
    get: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, over = [0.0], threading.Event()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0])

    def script(connection: socket.socket, head: str) -> bytes:
        if "/never" in head:
            over.wait()
        return ok(b"abc")

    monkeypatch.setattr("stages.collect.web.connection.time", clock)
    with served(script) as wire:
        assert get(wire.url(), seconds=100).body == b"abc"
        ahead[0] = 1000.0  # the first moment has passed
        assert get(wire.url(), seconds=1100).body == b"abc"
        assert get.fails(wire.url("/never"), seconds=1000.1).reason == Reason.TIMEOUT
        over.set()
        assert wire.numbers() == [1, 1, 1]
