"""Connections that lead only where a guard allows, and that end at a moment whatever they bring."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from stages.collect.web.answer import failed
from stages.collect.web.resolver import Resolve
from stages.reasons import Reason

CONNECT_SECONDS = 10.0
"""Longest wait for one address to accept; a host may have several."""

HEAD_BYTES = 131_072
"""Of all that comes before a body; browsers take no more either."""

Guard = Callable[[str], "str | None"]
"""Says why an address must not be connected to; None if it may."""


class _Head:
    """Lines of a file until they are too many."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = HEAD_BYTES
        self.close = file.close

    def readline(self, limit: int = -1) -> bytes:
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.HTTPException("got too many headers")
        return line


class _Answer(http.client.HTTPResponse):
    """An answer whose head has an end, and which the server may announce (102, 103) before it gives it."""

    def begin(self) -> None:
        whole: Any = self.fp
        self.fp = _Head(whole)  # pyright: ignore[reportAttributeAccessIssue] - `begin` reads lines alone
        try:
            super().begin()
        finally:
            if not whole.closed:
                self.fp = whole

    def _read_status(self) -> tuple[str, int, str]:
        read: Any = super()._read_status  # pyright: ignore
        version, status, reason = read()
        return version, 100 if status in (102, 103) else status, reason  # `begin` passes over 100


class Connection(http.client.HTTPConnection):
    """HTTP to a host, each exchange to be done with by a moment on the clock of `time.monotonic`."""

    response_class = _Answer

    def __init__(self, host: str, port: int | None, guard: Guard, resolve: Resolve, until: float) -> None:
        # Without a port http.client looks for one in the host, and finds it in IPv6 addresses.
        super().__init__(host, self.default_port if port is None else port)
        self.address = ""
        self._guard = guard
        self._resolve = resolve
        self._until = until

    def keep_until(self, until: float) -> None:
        """Give the next exchange over the same connection its own moment."""
        self._until = until
        if isinstance(self.sock, TimedSocket | TimedTls):
            self.sock.until = until

    def ask(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The answer to a GET, its body still to be read. If that goes wrong, the connection is closed."""
        try:
            self.request("GET", path, headers=dict(headers))
            return self.getresponse()
        except BaseException:
            self.close()
            raise

    def connect(self) -> None:
        """Connect to the first address of the host that may be connected to and accepts."""
        refused: set[str] = set()
        last: OSError | None = None
        resolved = self._resolve(self.host, self.port, seconds_left(self._until))
        for family, kind, protocol, _, address in resolved:
            why = self._guard(str(address[0]))
            if why is not None:
                refused.add(f"{address[0]} ({why})")
                continue
            connection = TimedSocket(family, kind, protocol)
            connection.until = self._until
            try:
                connection.settimeout(min(CONNECT_SECONDS, seconds_left(self._until)))
                connection.connect(address)
                self._check_peer(connection)
            except OSError as error:
                connection.close()
                last = error
                continue
            except BaseException:
                connection.close()
                raise
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = connection
            return
        if last is not None:
            raise last
        raise failed(Reason.FORBIDDEN_ADDRESS, f"{self.host} is {', '.join(sorted(refused))}")

    def _check_peer(self, connection: socket.socket) -> None:
        reached = str(connection.getpeername()[0])
        why = self._guard(reached)
        if why is not None:
            raise failed(Reason.FORBIDDEN_ADDRESS, f"{self.host} led to {reached} ({why})")
        self.address = reached


class SecureConnection(Connection):
    """HTTPS likewise; the certificate is checked against the host's name."""

    default_port = http.client.HTTPS_PORT

    def __init__(
        self,
        host: str,
        port: int | None,
        guard: Guard,
        resolve: Resolve,
        until: float,
        context: ssl.SSLContext,
    ) -> None:
        super().__init__(host, port, guard, resolve, until)
        self._context = context

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(seconds_left(self._until))  # a handshake ends by the time-out as a whole
        wrapped = self._context.wrap_socket(self.sock, server_hostname=self.host)
        assert isinstance(wrapped, TimedTls)
        wrapped.until = self._until
        self.sock = wrapped


class TimedSocket(socket.socket):
    """Waits for bytes until a moment, not for so long after each of them: a drip cannot hold it."""

    until: float

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(seconds_left(self.until))
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(seconds_left(self.until))
        super().sendall(data, flags)


class TimedTls(ssl.SSLSocket):
    """The same over TLS."""

    until: float

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(seconds_left(self.until))
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(seconds_left(self.until))
        super().sendall(data, flags)


def tls_context() -> ssl.SSLContext:
    """The system's trusted certificates, and sockets that keep deadlines."""
    context = ssl.create_default_context()
    context.sslsocket_class = TimedTls
    return context


def seconds_left(until: float) -> float:
    """Seconds until a moment; TimeoutError when it has passed."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
