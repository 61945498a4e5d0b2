"""A server on loopback that sends just the bytes that a test gives it, over connections that it counts."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from stages.collect.web.errors import FetchError
from stages.collect.web.http_client import HttpClient
from stages.collect.web.records import Response
from stages.collect.web.resolver import Address

LOOPBACK = ("127.0.0.0/8", "::1/128")

Script = Callable[[socket.socket, str], "bytes | None"]
"""(connection, head of a request) -> what to send; None sends nothing and closes the connection."""


@dataclass
class Wire:
    """What was asked for so far, as (number of the connection, head of the request)."""

    port: int
    asked: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    connections: int = 0

    def url(self, path: str = "/x", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def numbers(self) -> list[int]:
        """Which connection each request came by."""
        return [number for number, _ in self.asked]


def ok(body: bytes, *headers: str) -> bytes:
    return answer("200 OK", body, *headers)


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@contextmanager
def served(script: Script, host: str = "127.0.0.1") -> Iterator[Wire]:
    """Serve by a script, which is called for each request; `Connection: close` is its own affair."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ending, open_now = threading.Event(), set[socket.socket]()
    with socket.create_server((host, 0), family=family, backlog=128) as listener:
        wire = Wire(listener.getsockname()[1])

        def serve(connection: socket.socket, number: int) -> None:
            with suppress(OSError), connection, connection.makefile("rb") as lines:
                while True:
                    head = ""
                    while (line := lines.readline().decode("latin-1")) not in ("\r\n", ""):
                        head += line
                    if not head:
                        return
                    wire.asked.append((number, head))
                    data = script(connection, head)
                    if data is None:
                        return
                    connection.sendall(data)

        def accept() -> None:
            while not ending.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    open_now.add(connection)
                    wire.connections += 1
                    threading.Thread(target=serve, args=(connection, wire.connections), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield wire
        finally:
            ending.set()
            with suppress(OSError), socket.create_connection((host, wire.port)):
                pass
            for connection in list(open_now):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def sends(data: bytes, then_close: bool = True) -> Script:
    """The same bytes for every request."""

    def script(connection: socket.socket, _: str) -> bytes | None:
        if then_close:
            connection.sendall(data)
            return None
        return data

    return script


def here(host: str, port: int, _: float) -> list[Address]:
    """Every name is this machine; no name is asked for."""
    if ":" in host:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


class Asker:
    """Asks by a client of its own, with limits that tests seldom change."""

    def __init__(self) -> None:
        self.client = HttpClient(agent="birds", contact="https://birds.example", resolve=here)

    def __call__(self, url: str, seconds: float = 60.0, **changes: object) -> Response:
        limits = {"networks": LOOPBACK, "max_bytes": 1000, "until": time.monotonic() + seconds, **changes}
        return self.client.get(url, **limits)  # type: ignore[arg-type]

    def fails(self, url: str, **changes: object) -> FetchError:
        with pytest.raises(FetchError) as caught:
            self(url, **changes)  # type: ignore[arg-type]
        return caught.value
