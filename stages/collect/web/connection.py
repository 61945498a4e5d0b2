"""TCP and TLS connections that lead only where a guard allows (against SSRF and DNS rebinding), and that end
at a deadline whatever they bring (against slow-drip servers)."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from stages.collect.web.errors import fetch_error
from stages.collect.web.resolver import Resolve
from stages.reasons import Reason

CONNECT_SECONDS = 10.0
"""Longest wait for one address to accept; a host may have several."""

HEAD_BYTES = 131_072
"""Of status line and headers together; browsers take no more either."""

Guard = Callable[[str], "str | None"]
"""(IP address) -> why it must not be connected to; None if it may."""


class _BoundedHead:
    """The lines of a response's head, until they hold more than HEAD_BYTES."""

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


class _BoundedResponse(http.client.HTTPResponse):
    """A response whose head is bounded, and before which the server may send interim ones (102, 103)."""

    def begin(self) -> None:
        stream: Any = self.fp
        self.fp = _BoundedHead(stream)  # pyright: ignore[reportAttributeAccessIssue] - `begin` reads lines alone
        try:
            super().begin()
        finally:
            if not stream.closed:
                self.fp = stream

    def _read_status(self) -> tuple[str, int, str]:
        read: Any = super()._read_status  # pyright: ignore
        version, status, reason = read()
        return version, 100 if status in (102, 103) else status, reason  # `begin` passes over 100


class Connection(http.client.HTTPConnection):
    """HTTP to a host, each exchange with a deadline on the clock of `time.monotonic`."""

    response_class = _BoundedResponse

    def __init__(self, host: str, port: int | None, guard: Guard, resolve: Resolve, until: float) -> None:
        # Without a port http.client looks for one in the host, and finds it in IPv6 addresses.
        super().__init__(host, self.default_port if port is None else port)
        self.address = ""
        self._guard = guard
        self._resolve = resolve
        self._until = until

    def set_deadline(self, until: float) -> None:
        """Give the next exchange over the same connection its own deadline, on the clock of
        `time.monotonic`."""
        self._until = until
        if isinstance(self.sock, TimedSocket | TimedTls):
            self.sock.until = until

    def send_get(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The response to a GET, its body still to be read. If that goes wrong, the connection is closed."""
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
        raise fetch_error(Reason.FORBIDDEN_ADDRESS, f"{self.host} is {', '.join(sorted(refused))}")

    def _check_peer(self, connection: socket.socket) -> None:
        reached = str(connection.getpeername()[0])
        why = self._guard(reached)
        if why is not None:
            raise fetch_error(Reason.FORBIDDEN_ADDRESS, f"{self.host} led to {reached} ({why})")
        self.address = reached


class SecureConnection(Connection):
    """HTTPS to a host with a deadline; the certificate is checked against the host's name."""

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
    """A socket with a deadline for all its bytes together, not for each: a server that drips cannot hold
    it."""

    until: float

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(seconds_left(self.until))
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(seconds_left(self.until))
        super().sendall(data, flags)


class TimedTls(ssl.SSLSocket):
    """A TLS socket with such a deadline."""

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
    """Seconds until a deadline on the clock of `time.monotonic`; TimeoutError when it has passed."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
