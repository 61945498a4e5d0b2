"""A server of Prefect that goes away: a relay in front of it, which refuses connections for a while."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx


class Relay:
    """Passes bytes between its own port of the loopback and a server's, until it is closed."""

    def __init__(self, server: str) -> None:
        self._target = ("127.0.0.1", httpx.URL(server).port or 80)
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self._port}/api"

    def open(self) -> None:
        """Take connections, on the same port as before."""
        with self._lock:
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self._port))
                self._port = self._listener.getsockname()[1]
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """End all connections, and refuse new ones, as a host does where no server runs."""
        with self._lock:
            listener, self._listener = self._listener, None
            sockets, self._sockets = self._sockets, []
        for each in [listener, *sockets]:
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
                each.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                closed = self._listener is not listener
                if not closed:
                    self._sockets += [client, server]
            if closed:
                client.close()
                server.close()
                return
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def behind_relay(server: str) -> Iterator[Relay]:
    """This process's requests, logs and events go through a relay inside the block."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    relay = Relay(server)
    send_what_waits()  # so that nothing is sent by the connections of before
    try:
        with temporary_settings({PREFECT_API_URL: relay.url}):
            yield relay
            send_what_waits()
    finally:
        relay.close()


def send_what_waits() -> None:
    """What Prefect does at the end of a process."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=60)
    EventsWorker.drain_all(timeout=60)


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    """What a condition gives once it is true; what was not, where it never is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come")
